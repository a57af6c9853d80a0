"""`make load`, whole, as an operator starts it: a service, visitors, a verdict, a report."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# How fast a machine is that runs tests is nobody's business here.
UNHURRIED = ("--slo-p99-ms", "60000")


def rehearse(*options: str) -> subprocess.CompletedProcess[str]:
    """Run one, short."""
    command = [sys.executable, "-m", "loadtests.rehearsal", "--rate", "8", "--view-s", "1"]
    return subprocess.run(
        [*command, *UNHURRIED, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(120)
def test_a_rehearsal_over_several_processes_holds_and_reports(tmp_path: Path) -> None:
    """What two load processes saw comes together in one verdict and one report."""
    report = tmp_path / "report.html"

    ended = rehearse("--length", "6", "--processes", "2", "--report", str(report))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("  held") == 5
    text = report.read_text("utf-8")
    assert "<svg" in text
    assert "people<td>leased<td>new" in text


@pytest.mark.timeout(120)
def test_a_pool_that_is_too_small_misses_its_objective(tmp_path: Path) -> None:
    """The exit status is what a pipeline looks at."""
    report = tmp_path / "report.html"

    ended = rehearse("--length", "4", "--numbers", "2", "--report", str(report))

    assert ended.returncode == 1, ended.stdout + ended.stderr
    missed = [line for line in ended.stdout.splitlines() if line.endswith("  missed")]
    assert any(line.startswith("people without a number of their own") for line in missed)
    assert "people<td>original<td>exhausted" in report.read_text("utf-8")


@pytest.mark.timeout(120)
def test_an_outage_in_the_middle_is_survived(tmp_path: Path) -> None:
    """The service is killed, started again, and everybody comes at once: nothing is doubled."""
    options = ("--shape", "avalanche", "--length", "24", "--report", str(tmp_path / "r.html"))

    # A busy machine may take longer to start the service than the outage of the shape lasts.
    ended = rehearse(*options, "--slo-failed", "0.9")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "ConnectionRefusedError" in ended.stderr  # else there was no outage
    assert ended.stdout.count("  held") == 5
