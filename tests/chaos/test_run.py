"""A short chaos run in which every process fault strikes once; `make chaos` plays a long one."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.checker import violations
from tests.chaos.faults import PROCESS_FAULTS
from tests.chaos.history import History
from tests.chaos.holds import Holds
from tests.chaos.report import explained, report
from tests.chaos.run import Plan, play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


async def test_every_process_is_killed_and_frozen(tmp_path: Path) -> None:
    """Whatever happened to processes: nobody shared a number, and no event was lost."""
    plan = Plan(seed=4, visitors=12, longest_s=0.8)

    history = await play(plan, tmp_path)

    found = violations(history)
    assert found == [], f"seed {plan.seed}\n{explained(found)}"
    figures = report(history, found)
    assert figures["by_fault"] == Counter(fault.name for fault in PROCESS_FAULTS)
    assert History.read(tmp_path / "history.jsonl") == history
    # The run was worth something: numbers went round, and some were certainly somebody's.
    assert len(Holds(history).leases) > sum(len(each.numbers) for each in history.rules.values())
