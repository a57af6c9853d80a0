"""`dni-allocator size`."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dni_allocator.cli.commands import app
from tests.support.clock import ManualClock
from tests.support.rig import fictional
from tests.support.service import serving

EXAMPLE = ["size", "--per-hour", "100", "--time-on-site", "300", "--lock", "30"]


def run(*arguments: str) -> str:
    """What a command prints; fails when it fails."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_published_example() -> None:
    """The published rule, and beside it what arithmetic says."""
    printed = run(*EXAMPLE, "--numbers", "11", "--reuse-gap", "600", "--price", "1.15")

    rows = [line.strip("│ ").split("│") for line in printed.splitlines() if "│" in line]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells["published rule (mean and a tenth)"] == ["11"]
    assert cells["Erlang B, 1 % turned away"] == ["17"]
    assert cells["600 s before reuse, on average"] == ["26"]
    assert cells["today"] == ["11", "12.8 %", "12.8", "", "124 s", "99.9 %", "12.65"]
    assert cells["one more"][:2] == ["12", "8.89 %"]


def test_json_is_what_http_answers() -> None:
    """One shape for scripts, wherever they ask."""
    found = json.loads(run(*EXAMPLE, "--json"))

    assert found["sizes"]["erlang_b"] == 17
    assert (found["pool_id"], found["present"]) == (None, None)


def test_a_plot_is_written(tmp_path: Path) -> None:
    """Its kind is that of the file's name."""
    run(*EXAMPLE, "--numbers", "11", "--plot", str(tmp_path / "size.png"))

    assert (tmp_path / "size.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["size"], "arrivals_per_hour"),
        (["size", "--per-hour", "-1", "--hold", "3"], "--per-hour"),
        ([*EXAMPLE, "--turned-away", "0"], "--turned-away"),
        ([*EXAMPLE, "--selection", "favourite"], "--selection"),
        ([*EXAMPLE, "--plot", "size.gif"], ".svg or .png"),
    ],
)
def test_wrong_use_is_told_in_a_line(arguments: list[str], told: str) -> None:
    """With the name of the option, and nothing of Python."""
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def size(redis_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a program of its own, on this store."""
    return subprocess.run(
        [sys.executable, "-m", "dni_allocator", "size", *arguments],
        env={**os.environ, "DNI_REDIS_URL": redis_url, "DNI_SHARDS": "4"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


async def test_a_pool_of_the_store(redis_url: str) -> None:
    """Measured in the store that the settings name; no server has to run."""
    today = ManualClock(round(time.time() * 1000))
    async with serving(redis_url, clock=today) as service:
        site = await service.pool(*fictional(2))
        for visitor in ("ann", "bob"):
            await site.view(visitor)
        await service.app.historian().round()

        result = await asyncio.to_thread(size, redis_url, "--pool", site.pool_id, "--json")

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["pool_id"], found["present"]["numbers"]) == (site.pool_id, 2)
    assert found["figures"]["arrivals_per_hour"] == {"value": 2.0, "basis": "measured"}


def test_an_unknown_pool_is_told(redis_url: str) -> None:
    """As a sentence."""
    result = size(redis_url, "--pool", "pool_none")

    assert result.returncode == 2
    assert "no pool with this id" in result.stderr
