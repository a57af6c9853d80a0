"""The alert rules: each comes when it should, none on a healthy day; the runbook knows them all."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support import promtool

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "prometheus"
RULES: Final = FOLDER / "alerts.yml"

Series = dict[str, str]

ONE, TWO = 'instance="a:8000",job="dni-allocator"', 'instance="b:8000",job="dni-allocator"'
HEALTHY: Final[Series] = {
    f"up{{{ONE}}}": "1x240",
    f"up{{{TWO}}}": "1x240",
    f'dni_build_info{{version="1.0.0",{ONE}}}': "1x240",
    f'dni_build_info{{version="1.0.0",{TWO}}}': "1x240",
    f"dni_store_up{{{ONE}}}": "1x240",
    f"dni_store_up{{{TWO}}}": "1x240",
    f'dni_redis_errors_total{{kind="lost",{ONE}}}': "3x240",
    f'dni_redis_errors_total{{kind="moved",{ONE}}}': "0+5x240",
    f'dni_tag_calls_total{{call="assign",outcome="ok",{ONE}}}': "0+600x240",
    f'dni_tag_calls_total{{call="assign",outcome="store-unavailable",{ONE}}}': "5x240",
    f'dni_assign_duration_seconds_bucket{{le="0.005",{ONE}}}': "0+600x240",
    f'dni_assign_duration_seconds_bucket{{le="0.1",{ONE}}}': "0+600x240",
    f'dni_assign_duration_seconds_bucket{{le="+Inf",{ONE}}}': "0+600x240",
    f'dni_pool_numbers{{pool="p",state="free",{ONE}}}': "40x240",
    f'dni_pool_numbers{{pool="p",state="leased",{ONE}}}': "60x240",
    f'dni_pool_numbers{{pool="p",state="quarantined",{ONE}}}': "900x240",
    f'dni_pool_numbers{{pool="p",state="free",{TWO}}}': "41x240",
    f'dni_pool_numbers{{pool="p",state="leased",{TWO}}}': "59x240",
    f'dni_pool_numbers{{pool="p",state="quarantined",{TWO}}}': "900x240",
    # A pool without numbers: its share is no number at all.
    f'dni_pool_numbers{{pool="new",state="free",{ONE}}}': "0x240",
    f'dni_pool_numbers{{pool="new",state="leased",{ONE}}}': "0x240",
    f'dni_pool_exhausted_total{{pool="p",{ONE}}}': "7x240",
    f'dni_lease_conflicts_total{{pool="p",{ONE}}}': "2x240",
    f'dni_lease_conflicts_total{{pool="p",{TWO}}}': "2x240",
    f"dni_redis_failovers_total{{{ONE}}}": "1x240",
    f"dni_redis_failovers_total{{{TWO}}}": "0x240",
    f'dni_redis_script_duration_seconds_bucket{{script="assign",le="0.001",{ONE}}}': "0+600x240",
    f'dni_redis_script_duration_seconds_bucket{{script="assign",le="0.1",{ONE}}}': "0+600x240",
    f'dni_redis_script_duration_seconds_bucket{{script="assign",le="+Inf",{ONE}}}': "0+600x240",
    # A script that people wait for, not pages.
    f'dni_redis_script_duration_seconds_bucket{{script="sweep",le="0.001",{ONE}}}': "0x240",
    f'dni_redis_script_duration_seconds_bucket{{script="sweep",le="0.1",{ONE}}}': "0+9x240",
    f'dni_redis_script_duration_seconds_bucket{{script="sweep",le="+Inf",{ONE}}}': "0+9x240",
    f'dni_pool_budget_used_ratio{{pool="p",{ONE}}}': "0.5x240",
    f'dni_vendor_requests_total{{vendor="twilio",outcome="ok",{ONE}}}': "0+10x240",
    f'dni_vendor_requests_total{{vendor="twilio",outcome="overloaded",{ONE}}}': "0+1x240",
    f"dni_outbox_lag_seconds{{{ONE}}}": "2x240",
    f"dni_outbox_lag_seconds{{{TWO}}}": "3x240",
    f"dni_outbox_stream_bytes{{{ONE}}}": "100x240",
    f"dni_outbox_cap_bytes{{{ONE}}}": "1000x240",
    f"dni_outbox_lost_total{{{ONE}}}": "12x240",
    f'dni_webhook_endpoints{{state="active",{ONE}}}': "2x240",
    f'dni_webhook_endpoints{{state="disabled",{ONE}}}': "1x240",
    f'dni_webhook_endpoints{{state="failed",{ONE}}}': "0x240",
    f'dni_webhook_attempts_total{{endpoint="e",outcome="taken",{ONE}}}': "0+60x240",
    f'dni_webhook_attempts_total{{endpoint="e",outcome="failed",{ONE}}}': "0+2x240",
    f"dni_redis_persists{{{ONE}}}": "1x240",
    f"dni_redis_writes_well{{{ONE}}}": "1x240",
    f"dni_redis_evicts{{{ONE}}}": "0x240",
    f"dni_redis_replicas{{{ONE}}}": "1x240",
    f"dni_redis_used_memory_bytes{{{ONE}}}": "700x240",
    f"dni_redis_maxmemory_bytes{{{ONE}}}": "1000x240",
    f"dni_redis_clock_skew_seconds{{{ONE}}}": "-0.2x240",
}
"""A value a minute for four hours, of two processes on one store."""

TROUBLE: Final[dict[str, Series]] = {
    "DniProcessDown": {f"up{{{TWO}}}": "1x120 0x120"},
    "DniAbsent": {
        f'dni_build_info{{version="1.0.0",{ONE}}}': "1x120 stale",
        f'dni_build_info{{version="1.0.0",{TWO}}}': "1x120 stale",
    },
    "DniStoreAway": {f"dni_store_up{{{TWO}}}": "1x120 0x120"},
    "DniStoreErrors": {f'dni_redis_errors_total{{kind="lost",{ONE}}}': "0x120 0+5x120"},
    "DniPagesFail": {
        f'dni_tag_calls_total{{call="assign",outcome="store-unavailable",{ONE}}}': "5x120 5+20x120"
    },
    "DniAssignSlow": {f'dni_assign_duration_seconds_bucket{{le="0.005",{ONE}}}': "0+500x240"},
    "DniPoolNearlyEmpty": {
        f'dni_pool_numbers{{pool="p",state="free",{ONE}}}': "40x120 5x120",
        f'dni_pool_numbers{{pool="p",state="leased",{ONE}}}': "60x120 95x120",
        f'dni_pool_numbers{{pool="p",state="free",{TWO}}}': "40x120 5x120",
        f'dni_pool_numbers{{pool="p",state="leased",{TWO}}}': "60x120 95x120",
    },
    "DniPoolExhausted": {f'dni_pool_exhausted_total{{pool="p",{ONE}}}': "7x120 7+3x120"},
    "DniLeaseConflict": {
        f'dni_lease_conflicts_total{{pool="p",{ONE}}}': "2x130 3x120",
        f'dni_lease_conflicts_total{{pool="p",{TWO}}}': "2x131 3x120",
    },
    "DniBudgetNearlySpent": {f'dni_pool_budget_used_ratio{{pool="p",{ONE}}}': "0.5x120 0.85x120"},
    "DniVendorFails": {
        f'dni_vendor_requests_total{{vendor="twilio",outcome="overloaded",{ONE}}}': "0+11x240"
    },
    "DniOutboxLag": {f"dni_outbox_lag_seconds{{{ONE}}}": "2x120 400x120"},
    "DniOutboxRising": {f"dni_outbox_lag_seconds{{{ONE}}}": "2x120 2+7x120"},
    "DniOutboxFilling": {f"dni_outbox_stream_bytes{{{ONE}}}": "100x120 501x120"},
    "DniOutboxLost": {f"dni_outbox_lost_total{{{ONE}}}": "12x130 13x120"},
    "DniWebhookDisabled": {f'dni_webhook_endpoints{{state="failed",{ONE}}}': "0x120 1x120"},
    "DniWebhookFails": {
        f'dni_webhook_attempts_total{{endpoint="e",outcome="failed",{ONE}}}': "0+61x240"
    },
    "DniRedisNotDurable": {f"dni_redis_persists{{{ONE}}}": "1x120 0x120"},
    "DniRedisWritesFail": {f"dni_redis_writes_well{{{ONE}}}": "1x120 0x120"},
    "DniRedisEvicts": {f"dni_redis_evicts{{{ONE}}}": "0x120 1x120"},
    "DniRedisReplicaLost": {f"dni_redis_replicas{{{ONE}}}": "1x120 0x120"},
    "DniRedisFailover": {f"dni_redis_failovers_total{{{TWO}}}": "0x145 1x120"},
    "DniRedisScriptSlow": {
        f'dni_redis_script_duration_seconds_bucket{{script="assign",le="0.001",{ONE}}}': "0+500x240"
    },
    "DniRedisMemory": {f"dni_redis_used_memory_bytes{{{ONE}}}": "700x120 900x120"},
    "DniClockSkew": {f"dni_redis_clock_skew_seconds{{{ONE}}}": "-0.2x120 -1.5x120"},
    "DniVersionsMixed": {
        f'dni_build_info{{version="1.0.0",{ONE}}}': "1x70 stale",
        f'dni_build_info{{version="1.1.0",{ONE}}}': "_x71 1x240",
    },
}
"""What is different from the healthy day, and the one alert that must come of it."""


def _alerts() -> list[dict[str, object]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _judged(tmp_path: Path, series: Series, *, at: str, firing: set[str]) -> str:
    """What promtool has against it that exactly these alerts fire."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": at,
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1}
                            for name in sorted(firing)
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test), "utf-8")
    result = promtool.run("test", "rules", file)
    return "" if result.returncode == 0 else result.stdout


def test_prometheus_takes_the_rules_and_its_configuration() -> None:
    """What an operator copies is accepted as it is."""
    for arguments in (
        ("check", "rules", RULES),
        ("check", "config", "--syntax-only", FOLDER / "prometheus.yml"),
    ):
        result = promtool.run(*arguments)
        assert result.returncode == 0, result.stdout
        assert "SUCCESS" in result.stdout


def test_every_alert_has_its_trouble() -> None:
    """The tests below leave none out."""
    assert {str(rule["alert"]) for rule in _alerts()} == set(TROUBLE)


@pytest.mark.parametrize("at", ["90m", "150m", "239m"])
def test_nothing_fires_on_a_healthy_day(tmp_path: Path, at: str) -> None:
    """An alert that comes without trouble is soon switched off."""
    assert _judged(tmp_path, HEALTHY, at=at, firing=set()) == ""


@pytest.mark.parametrize("alert", TROUBLE)
def test_an_alert_comes_with_its_trouble_and_no_other(tmp_path: Path, alert: str) -> None:
    """The alert that comes names what is wrong."""
    series = HEALTHY | TROUBLE[alert]

    assert _judged(tmp_path, series, at="150m", firing={alert}) == ""
    assert _judged(tmp_path, series, at="150m", firing=set()) != "", "the test cannot fail"


def test_every_alert_leads_to_its_entry_in_the_runbook() -> None:
    """Whoever is woken up finds what to do, and no entry is left over."""
    headings = re.findall(
        r"^### (\w+)$", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.MULTILINE
    )

    linked = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in _alerts()}  # type: ignore[index]  # nested YAML
    assert linked == {name: f"docs/runbook.md#{name.lower()}" for name in headings}
