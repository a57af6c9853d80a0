"""One chaos run by a seed: deploy, let visitors in, strike fault after fault, wait, judge, report.

`python -m tests.chaos` plays one, `report` says what came of it.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from tests.chaos.deployment import PATIENCE_S, Deployment, Linking, Standing, deployed
from tests.chaos.faults import PROCESS_FAULTS, Fault
from tests.chaos.history import (
    ATTRIBUTION,
    History,
    Operation,
    Recorder,
    Rules,
    Settled,
    Struck,
    Told,
)
from tests.chaos.timeline import ASSIGNED, ENDED, KEPT, Tenure, tenures
from tests.chaos.visitors import Caller, Operator, Street, Visitor, milliseconds
from tests.support.receiver import Delivery
from tests.support.rig import fictional
from tests.support.service import ORIGIN, SHOP
from tests.support.waiting import wait_until_async

SERVICE: Final = "+16024961500"
SHARED: Final = "+18005550100"
IDLE_S: Final = 5
"""The shortest idle limit that the interface allows."""
POOLS: Final[tuple[tuple[int, dict[str, object]], ...]] = (
    (2, {"destinations": [SHOP], "closed_browser_delay_s": 1}),
    (8, {"destinations": [SHOP, SERVICE], "closed_browser_delay_s": 1, "selection": "random"}),
    (4, {"destinations": [SHOP], "closed_browser_delay_s": 0, "overflow_numbers": [SHARED]}),
    (12, {"destinations": [SHOP], "closed_browser_delay_s": 2}),
)
"""So few numbers that all are in use, some that go round, enough that visitors get theirs back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is played. The seed decides on faults, their victims and lengths, and on who visits."""

    seed: int
    faults: tuple[Fault, ...] = PROCESS_FAULTS
    seconds: float = 0.0
    """Faults are drawn for so long; 0: each once."""
    visitors: int = 10
    callers: int = 2
    pace: float = 1.0
    longest_s: float = 4.0
    """How long a fault lasts at most."""
    together: float = 0.0
    """How often a second fault strikes while the first one lasts."""
    linking: Linking | None = None
    """Stands before every port; network faults need it."""
    fsync: str = "always"
    clocks: bool = False
    """Processes have clocks that can be moved; clock faults need them."""
    standing: Standing | None = None

    def schedule(self) -> Iterator[Sequence[Fault]]:
        """What strikes together, one after the other: all faults in some order, then again."""
        chance = random.Random(f"{self.seed} faults")
        began = time.monotonic()
        while True:
            for fault in chance.sample(self.faults, len(self.faults)):
                if self.seconds and time.monotonic() - began > self.seconds:
                    return
                others = [each for each in self.faults if each.victim != fault.victim]
                two = others and chance.random() < self.together
                yield (fault, chance.choice(others)) if two else (fault,)
            if not self.seconds:
                return


async def play(plan: Plan, room: Path) -> History:
    """Play it; the record is in `room / "history.jsonl"` too."""
    recorder = Recorder(room / "history.jsonl")
    try:
        async with deployed(
            room, linking=plan.linking, fsync=plan.fsync, clocks=plan.clocks,
            standing=plan.standing,
        ) as deployment:  # fmt: skip
            street = Street(deployment, recorder, await _pools(deployment, recorder))
            deployment.receiver.answer = _noting(recorder)
            await deployment.administer(
                "POST", "/webhooks", url=deployment.receiver.url, body="json", batch_size=50
            )
            people = _people(plan, street)
            tasks = [asyncio.create_task(each.live()) for each in people]
            try:
                chance = random.Random(f"{plan.seed} strikes")
                await _calm(chance)
                for faults in plan.schedule():
                    for struck in await _strike(faults, street, plan, chance):
                        recorder.add(struck)
                    _fail_early(tasks)
                    await _calm(chance)
            finally:
                street.stop.set()
                await asyncio.gather(*tasks)
            await asyncio.gather(*street.late)
            await _settle(street)
            await _look_back(street)
    finally:
        recorder.close()
    return recorder.history


def _fail_early(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def _people(plan: Plan, street: Street) -> list[Visitor | Caller | Operator]:
    def chance(name: str) -> random.Random:
        return random.Random(f"{plan.seed} {name}")

    pace = plan.pace
    return [
        *(Visitor(street, f"v{at}", chance(f"v{at}"), pace) for at in range(plan.visitors)),
        *(Caller(street, chance(f"c{at}"), pace) for at in range(plan.callers)),
        Operator(street, chance("operator"), pace),
    ]


async def _pools(deployment: Deployment, recorder: Recorder) -> dict[str, str]:
    """Some pools, with so few numbers that they go round; publishable key by pool."""
    keys = {}
    for at, (size, settings) in enumerate(POOLS):
        common = {"name": f"Shop {at}", "allowed_origins": [ORIGIN], "idle_limit_s": IDLE_S}
        made = (await deployment.administer("POST", "/pools", **common, **settings)).json()
        numbers = fictional(size, start=at * 20)
        await deployment.administer("POST", f"/pools/{made['id']}/numbers", numbers=numbers)
        keys[made["id"]] = made["key"]
        recorder.add(
            Rules(
                pool=made["id"], numbers=tuple(numbers), destinations=tuple(made["destinations"]),
                idle_s=made["idle_limit_s"], delay_s=made["closed_browser_delay_s"],
                overflow=tuple(made["overflow_numbers"]),
            )
        )  # fmt: skip
    return keys


def _noting(recorder: Recorder) -> Callable[[Delivery], int]:
    def answer(delivery: Delivery) -> int:
        came = time.monotonic()
        for event in json.loads(delivery.body):
            recorder.add(_told(event, came))
        return 204

    return answer


def _told(event: dict[str, Any], came: float) -> Told:
    data = event["data"]
    return Told(
        id=data["event_id"], type=event["type"], came=came, pool=data.get("pool_id") or "",
        number=data.get("number") or "", visitor=data.get("visitor_id") or "",
        destination=data.get("destination") or "", lease_id=data.get("lease_id") or "",
        reason=data.get("reason") or "", at_ms=milliseconds(event["timestamp"]),
        started_ms=milliseconds(data["started_at"]) if "started_at" in data else None,
    )  # fmt: skip


async def _strike(
    faults: Sequence[Fault], street: Street, plan: Plan, chance: random.Random
) -> list[Struck]:
    """Break it for a while, heal it, and wait until every service has served a visitor again."""
    begins = []
    async with AsyncExitStack() as stack:
        for fault in faults:
            begins.append(time.monotonic())
            await stack.enter_async_context(fault.strike(street.deployment, chance))
            await asyncio.sleep(chance.uniform(0.1, 1.0) * plan.longest_s / len(faults))
    end = time.monotonic()
    operations = street.recorder.history.operations
    before = len(operations)

    def served() -> bool:
        good = {each.service for each in operations[before:] if each.good and each.begin >= end}
        return good >= {each.name for each in street.deployment.services}

    came_back: float | None = None
    with suppress(TimeoutError):
        await wait_until_async(served, timeout_s=PATIENCE_S)
        came_back = time.monotonic()
    return [
        Struck(
            name=fault.name, begin=begin, end=end, served=came_back, forgets_s=fault.forgets_s,
            moves_clock=fault.moves_clock,
        )
        for fault, begin in zip(faults, begins, strict=True)
    ]  # fmt: skip


async def _calm(chance: random.Random) -> None:
    """Nothing is broken for a moment, or hardly any."""
    await asyncio.sleep(chance.uniform(0.0, 1.0))


async def _settle(street: Street) -> None:
    """Wait until every lease has ended and every event has come; what has not is missing."""
    history = street.recorder.history

    async def everything_came() -> bool:
        await asyncio.sleep(0.2)
        begun = {each.lease_id for each in history.events if each.type == ASSIGNED}
        ended = {each.lease_id for each in history.events if each.type == ENDED}
        if begun != ended:
            return False
        return await street.deployment.written() <= {each.id for each in history.events}

    with suppress(TimeoutError):
        await wait_until_async(everything_came, timeout_s=PATIENCE_S)
    written = await street.deployment.written()
    street.recorder.add(Settled(at=time.monotonic(), events=len(written)))


async def _look_back(street: Street) -> None:
    """Ask whose every number was, in all that is remembered: to the millisecond at which it was."""
    history = street.recorder.history
    by_number: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in sorted(tenures(history), key=attrgetter("from_ms")):
        by_number[tenure.number].append(tenure)
    (service, *_) = street.deployment.services
    for number, known in by_number.items():
        pool = known[-1].begin.pool
        instants: list[int | None] = [None]
        for tenure in known[-KEPT:]:
            until = tenure.from_ms if tenure.end is None else tenure.end.at_ms
            middle = (tenure.from_ms + until) // 2
            instants += [tenure.from_ms, middle, max(tenure.from_ms, until - 1), until]
        for at_ms in instants:
            asked = Operation(call=ATTRIBUTION, begin=0, pool=pool, number=number, at_ms=at_ms)
            await street.ask(service, asked)
    street.browser.close()
