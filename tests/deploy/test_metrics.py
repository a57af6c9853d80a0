"""What Prometheus scrapes: everything that alerts and dashboard ask for, and nobody's data."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dni_allocator.metrics import Metrics, OutboxGauges
from dni_allocator.services.measuring import server_gauges
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.endpoints import Endpoints
from tests.http.test_bad_input import assert_problem
from tests.support import promtool
from tests.support.buying import Market
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, Service, serving
from tests.support.vendors.standin import Vendor

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "dashboard.json"
RULES: Final = ROOT / "deploy" / "prometheus" / "alerts.yml"
ONE, TWO, THREE = fictional(3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of this test's own, to be stopped."""
    with EmbeddedServer.start(tmp_path, durable=False) as server:
        yield server


async def _scraped(service: Service) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = await service.admin("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _of(samples: Mapping[str, float], name: str, **labels: str) -> float | None:
    return samples.get(f"{name}{json.dumps(labels, sort_keys=True)}")


async def test_a_pool_shows_its_numbers_by_state(service: Service) -> None:
    """Free, leased, quarantined: an alert comes before visitors go without."""
    site = await service.pool(ONE, TWO, THREE)
    given = await site.number("ann")
    resting = next(number for number in (ONE, TWO, THREE) if number != given)
    path = f"/pools/{site.pool_id}/numbers/{resting}/quarantine"
    assert (await service.admin("PUT", path, {"reason": "rest"})).is_success

    samples = await _scraped(service)

    found = {
        state: _of(samples, "dni_pool_numbers", pool=site.pool_id, state=state)
        for state in ("free", "leased", "quarantined")
    }
    assert found == {"free": 1, "leased": 1, "quarantined": 1}
    assert _of(samples, "dni_store_up") == 1


async def test_visitors_without_a_number_are_counted(service: Service) -> None:
    """By pool, whichever way the page was answered."""
    site = await service.pool(ONE)
    await site.number("ann")
    await site.view("bob")

    samples = await _scraped(service)

    assert _of(samples, "dni_pool_exhausted_total", pool=site.pool_id) == 1
    assert _of(samples, "dni_tag_calls_total", call="assign", outcome="ok") == 2


async def test_no_metric_names_a_number_or_a_visitor(service: Service) -> None:
    """Metrics are kept for long, and by others."""
    site = await service.pool(ONE)
    await site.number("ann-of-the-test")

    text = (await service.admin("GET", "/metrics")).text

    assert "ann-of-the-test" not in text
    assert ONE.removeprefix("+") not in text
    assert site.key not in text


async def test_endpoints_that_failed_are_told_from_those_switched_off(service: Service) -> None:
    """Who switched one off knows of it; the alert is for those that did it by themselves."""
    made = [
        (await service.admin("POST", "/webhooks", {"url": f"https://{name}.example/"})).json()
        for name in ("well", "off", "gone", "failing")
    ]
    path = f"/webhooks/{made[1]['id']}"
    assert (await service.admin("PATCH", path, {"state": "disabled"})).is_success
    async with Connection(service.redis_url) as connection:
        endpoints = Endpoints(connection.execute, shards=4)
        for told in made[2:]:
            seen = await endpoints.get(told["id"])
            reason = seen.url.removeprefix("https://").partition(".")[0]
            failed = replace(seen, state="disabled", disabled_reason=reason)
            await endpoints.replace(seen, failed)

    samples = await _scraped(service)

    states = ("active", "disabled", "failed")
    found = [_of(samples, "dni_webhook_endpoints", state=state) for state in states]
    assert found == [1, 1, 2]


async def test_what_a_pool_spent_and_how_much_that_is_of_its_budget(service: Service) -> None:
    """Two numbers at a dollar a month, of five."""
    market = Market(service, Vendor())
    site = await service.pool()
    await market.until_closed(
        await market.order(site.pool_id, vendor="sandbox", quantity=2, area_code="480")
    )
    rules = {"vendor": "sandbox", "area_code": "602", "budget_per_month": "5.00"}
    path = f"/pools/{site.pool_id}/autoscale"
    assert (await service.admin("PUT", path, rules)).is_success

    samples = await _scraped(service)

    of_pool = {"pool": site.pool_id}
    assert _of(samples, "dni_pool_budget_used_ratio", **of_pool) == 0.4
    assert _of(samples, "dni_pool_spent_this_month", currency="USD", **of_pool) == 2


async def test_a_scrape_tells_that_the_store_is_away(store: EmbeddedServer) -> None:
    """Keys lie in the store; who was let in before is still told. Nobody else is."""
    async with serving(store.url) as service:
        assert _of(await _scraped(service), "dni_store_up") == 1
        store.stop()

        samples = await _scraped(service)
        refused = await service.http.get(
            "/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}x"}
        )

    assert _of(samples, "dni_store_up") == 0
    assert _of(samples, "dni_redis_persists") is None, "old figures are no figures"
    assert any(name.startswith("dni_redis_errors_total") for name in samples)
    assert_problem(refused, 503, "store-unavailable")


def test_of_a_cluster_the_worst_node_is_told() -> None:
    """One node without a log loses its part of the data."""
    good = {"aof_enabled": "1", "maxmemory_policy": "noeviction", "connected_slaves": "2"}
    bad = {"aof_enabled": "0", "maxmemory_policy": "allkeys-lru", "connected_slaves": "0",
           "aof_last_write_status": "err", "used_memory": "7", "maxmemory": "9"}  # fmt: skip

    well = server_gauges({"a": good, "b": good}, skew_s=0.25)
    ill = server_gauges({"a": good, "b": bad}, skew_s=0.25)

    assert (well.persists, well.writes_well, well.evicts, well.replicas) == (True, True, False, 2)
    assert (ill.persists, ill.writes_well, ill.evicts, ill.replicas) == (False, False, True, 0)
    assert (ill.used_bytes, ill.limit_bytes, ill.clock_skew_s) == (7, 9, 0.25)


def _asked_for(expression: str) -> set[str]:
    return set(re.findall(r"\bdni_\w+", expression))


def _expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    board = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["query"]["query"] for each in board["templating"]["list"][1:])


async def test_alerts_and_dashboard_ask_for_metrics_that_exist(service: Service) -> None:
    """A misspelt name would be a panel without lines, and an alert that never comes."""
    await service.admin("GET", "/metrics")
    metrics: Metrics = service.app.metrics
    metrics.outbox = OutboxGauges(
        entries=1, pending=1, bytes=1, cap_bytes=1, lost=0, oldest_unread_ms=None
    )  # fmt: skip

    text = (await service.admin("GET", "/metrics")).text
    exist = set(re.findall(r"^# TYPE (dni_\w+)", text, re.MULTILINE))
    exist |= {f"{name}_bucket" for name in exist}

    asked = set().union(*map(_asked_for, _expressions()))
    assert len(asked) > 20
    assert asked - exist == set()
    documented = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = documented[documented.index("## Metrics") : documented.index("## Several processes")]
    names = set(re.findall(r"`(dni_\w+)", table))
    stems = {"dni_outbox", "dni_redis"}
    suffixes = set(re.findall(r"`(_\w+)`", table))
    names |= {f"{stem}{suffix}" for stem in stems for suffix in suffixes}
    assert {name for name in exist if not name.endswith("_bucket")} - names == set()


def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    """Grafana shows a query that cannot be read only as an empty panel."""
    rules = [
        {"record": f"panel:{at}", "expr": each.replace("$__rate_interval", "5m")}
        for at, each in enumerate(_expressions())
        if not each.startswith("label_values")
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")

    result = promtool.run("check", "rules", file)

    assert result.returncode == 0, result.stdout
    assert f"{len(rules)} rules found" in result.stdout


def test_the_dashboard_takes_any_data_source() -> None:
    """It is imported into a Grafana nobody here knows."""
    board = json.loads(DASHBOARD.read_text("utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]

    assert board["templating"]["list"][0]["type"] == "datasource"
    assert len(panels) > 15
    for panel in panels:
        for source in (panel["datasource"], *(each["datasource"] for each in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
