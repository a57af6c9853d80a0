"""Two versions side by side while processes are killed and frozen: judged from the record."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.checker import violations
from tests.chaos.deployment import Deployment, Program
from tests.chaos.faults import PROCESS_FAULTS, Fault
from tests.chaos.report import explained
from tests.chaos.run import Plan, play
from tests.chaos.versions import OLDEST, source_of

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(600)]


def _replaced(source: Path, kind: str) -> Fault:
    """One process ends and comes back as another version; then as itself."""

    @asynccontextmanager
    async def strike(deployment: Deployment, chance: random.Random) -> AsyncIterator[None]:
        programs = deployment.services if kind == "service" else deployment.forwarders
        victim = chance.choice(programs)
        present = victim.source
        await _restarted(victim, source)
        try:
            yield
        finally:
            await _restarted(victim, present)

    return Fault(f"{kind} of the oldest version", strike)


async def _restarted(program: Program, source: Path) -> None:
    program.kill()
    program.source = source
    await asyncio.to_thread(program.start)


async def test_versions_mixed_and_processes_killed(tmp_path: Path) -> None:
    """Whoever serves and whoever forwards: nobody shares a number, and no event is lost."""
    old = source_of(OLDEST, tmp_path / "old")
    mixed = [_replaced(old, kind) for kind in ("service", "forwarder", "service", "forwarder")]
    plan = Plan(seed=7, faults=(*mixed, *PROCESS_FAULTS), visitors=12, longest_s=12.0)
    room = tmp_path / "run"
    room.mkdir()

    history = await play(plan, room)

    found = violations(history)
    assert found == [], f"seed {plan.seed}\n{explained(found)}"
    assert {each.name for each in history.faults} == {each.name for each in plan.faults}
