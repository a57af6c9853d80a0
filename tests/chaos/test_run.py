"""A chaos run, and what it may not show."""

from pathlib import Path

import pytest

from tests.chaos.checker import violations
from tests.chaos.history import History
from tests.chaos.report import explained, report
from tests.chaos.run import Plan, play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.long
async def test_every_process_is_killed_and_frozen(tmp_path: Path) -> None:
    """Whatever happened to processes: nobody shared a number, and no event was lost."""
    history = await play(Plan(seed=1), tmp_path)

    found = violations(history)
    assert found == [], explained(found)
    assert report(history, found)["faults"] == 6
    assert History.read(tmp_path / "history.jsonl") == history
