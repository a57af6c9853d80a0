"""The short mode of `make bench`, whole, as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.bench.__main__ import PARTS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # it takes under a minute on a machine of its own
def test_short_bench_measures_every_row_without_an_error(tmp_path: Path) -> None:
    """Whoever runs the short mode gets every line of the table, and a zero at the end."""
    target = tmp_path / "bench.json"

    ended = subprocess.run(
        [sys.executable, "-m", "loadtests.bench", "--short", "--json", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    rows = json.loads(target.read_text("utf-8"))["rows"]
    assert len(rows) == sum(line.startswith("| ") for line in ended.stdout.splitlines()) - 2
    found = {row["name"] for row in rows}
    # Several lines each; the last only in the long mode.
    grouped = {"scaling-numbers", "scaling-pools", "instructions", "instructions-http"}
    wanted = {name for names, _ in PARTS for name in names} - grouped
    assert wanted <= found
    assert [row["name"] for row in rows if row["errors"]] == []


def test_own_client_answers_where_there_is_no_wrk(tmp_path: Path) -> None:
    """A machine without wrk measures too, by the client that comes with the benchmark."""
    target = tmp_path / "bench.json"
    command = [sys.executable, "-m", "loadtests.bench", "--client", "own", "--only", "raw-asgi"]

    subprocess.run(
        [*command, "--short", "--json", str(target)], cwd=ROOT, check=True, capture_output=True
    )

    (row,) = json.loads(target.read_text("utf-8"))["rows"]
    assert row["per_second"] > 0
    assert row["errors"] == 0
