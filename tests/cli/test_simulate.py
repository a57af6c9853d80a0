"""`dni-allocator simulate`."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dni_allocator.cli.commands import app
from dni_allocator.domain.erlang import erlang_b
from tests.support.rig import fictional
from tests.support.service import serving

EXAMPLE = ["simulate", "--per-hour", "100", "--time-on-site", "300", "--hours", "4", "--runs", "5"]


def run(*arguments: str) -> str:
    """What a command prints; fails when it fails."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_both_ways_to_choose_stand_beside_theory() -> None:
    """A row for each size and way, with intervals."""
    printed = run(*EXAMPLE, "--numbers", "11", "--numbers", "40")

    rows = [line.strip("│ ").split("│") for line in printed.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[:2] for row in cells] == [
        ["11", "least recent"], ["11", "random"], ["40", "least recent"], ["40", "random"],
    ]  # fmt: skip
    assert [row[3] for row in cells] == ["12.78 %", "12.78 %", "0.00 %", "0.00 %"]
    assert all("±" in row[2] for row in cells)


def test_json_and_plot(tmp_path: Path) -> None:
    """The same seed, the same document."""
    arguments = [*EXAMPLE, "--numbers", "11", "--seed", "5", "--json"]

    printed = run(*arguments, "--plot", str(tmp_path / "sim.svg"))

    assert printed == run(*arguments)
    assert (tmp_path / "sim.svg").read_text().startswith("<?xml")
    pools = json.loads(printed)["pools"]
    assert [each["selection"] for each in pools] == ["least_recently_released", "random"]
    assert pools[0]["erlang_b"] == pytest.approx(0.12777, abs=0.00001)


def test_theory_is_silent_where_it_is_not_for(tmp_path: Path) -> None:
    """Erlang's formula knows no bursts, and no hours of a day."""
    path = tmp_path / "arrivals.csv"
    path.write_text("0\n10\n3600\n")
    for extra in (["--bursts", "4"], ["--office-hours"], ["--arrivals", str(path)]):
        found = json.loads(run(*EXAMPLE, "--numbers", "11", "--json", *extra))
        assert found["pools"][0]["erlang_b"] is None


async def test_a_pool_of_the_store(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rules and its size; the traffic is typed where nothing was measured."""
    async with serving(redis_url) as service:
        site = await service.pool(*fictional(7), closed_browser_delay_s=60)
    monkeypatch.setenv("DNI_REDIS_URL", redis_url)
    monkeypatch.setenv("DNI_SHARDS", "4")

    found = await asyncio.to_thread(run, *EXAMPLE, "--pool", site.pool_id, "--json")

    (first, _) = json.loads(found)["pools"]
    assert first["numbers"] == 7
    assert first["erlang_b"] == pytest.approx(erlang_b(100 / 3600 * 360, 7), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulate"], "--per-hour"),
        (["simulate", "--per-hour", "9"], "--time-on-site"),
        (EXAMPLE, "--numbers"),
        ([*EXAMPLE, "--numbers", "3", "--lengths", "long"], "--lengths"),
        ([*EXAMPLE, "--numbers", "3", "--selection", "best"], "--selection"),
        ([*EXAMPLE, "--numbers", "3", "--plot", "a.gif"], ".svg or .png"),
        ([*EXAMPLE, "--numbers", "3", "--arrivals", "missing.csv"], "cannot be read"),
    ],
)
def test_wrong_use_is_told_in_a_line(arguments: list[str], told: str) -> None:
    """With the name of the option, and nothing of Python."""
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output
