"""The pool of the simulations against the scripts: the same pages, the same numbers."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dni_allocator.domain.history import NEVER_LEASED_MS
from dni_allocator.domain.lease import Alive, Leased
from dni_allocator.domain.pool import PoolSettings, Selection
from dni_allocator.domain.rehearsal import Ended, Rehearsal, Rules
from dni_allocator.store.connection import Connection
from dni_allocator.store.replies import scored
from tests.support.rig import SETTINGS, Rig, fictional

ASSIGNED, ENDED = "number.assigned", "lease.ended"
EXAMPLES = int(os.environ.get("DNI_MACHINE_EXAMPLES", "40"))
NUMBERS = 4
VISITORS = 7


class Step(NamedTuple):
    """One call of a tag, so many ms after the one before."""

    after_ms: int
    call: str
    visitor: int
    page: int


steps = st.lists(
    st.builds(
        Step,
        # Around the limits below, which are 5 to 60 s, and at once.
        after_ms=st.one_of(st.sampled_from([0, 1, 4_999, 5_000, 5_001, 10_000, 30_000, 60_000]),
                           st.integers(0, 20_000)),
        call=st.sampled_from(["assign", "assign", "assign", "heartbeat", "close", "close"]),
        visitor=st.integers(0, VISITORS - 1),
        page=st.integers(0, 2),
    ),
    min_size=5, max_size=60,
)  # fmt: skip
pools = st.builds(
    lambda selection, idle_s, delay_s, hold_s, age_s, trial_s: replace(
        SETTINGS, selection=selection, idle_limit_s=idle_s, closed_browser_delay_s=delay_s,
        min_hold_s=hold_s, max_lease_age_s=age_s, provisional_s=trial_s,
        attribution_window_s=600,
    ),
    selection=st.sampled_from(Selection),
    idle_s=st.sampled_from([10, 30, 60]),
    delay_s=st.sampled_from([0, 5, 30]),
    hold_s=st.sampled_from([0, 0, 20]),
    age_s=st.sampled_from([None, None, 45]),
    trial_s=st.sampled_from([None, None, 6]),
)  # fmt: skip


class Follower:
    """Chance that does what the store did: the model must be able to give the same number."""

    def __init__(self) -> None:
        self.wanted: int | None = None
        self.rehearsal: Rehearsal | None = None

    def __call__(self, count: int) -> int:
        """The place of the wanted number among the free ones; fails when it is not free."""
        assert self.rehearsal is not None
        assert self.wanted is not None
        free = self.rehearsal.free
        assert len(free) == count
        assert self.wanted in free, "the store gave a number that is not free"
        return free.index(self.wanted)


async def compare(url: str, pool_settings: PoolSettings, calls: Sequence[Step]) -> None:
    """The same calls to both, and the same answers, deadlines and events."""
    names = sorted(fictional(NUMBERS))
    async with Connection(url, timeout_s=20) as connection:
        await connection.execute("FLUSHALL")
        rig = Rig(connection.execute)
        pool = await rig.pool(names, settings=pool_settings)
        keys = rig.shards.pool(pool.id)
        shelved = scored(await connection.execute("ZRANGE", f"{keys.free}any", 0, -1, "WITHSCORES"))
        places = {name: int(at) for name, at in shelved}
        follow, ended = Follower(), list[Ended]()
        model = follow.rehearsal = Rehearsal(
            Rules.of(pool_settings), [places[name] for name in names], pick=follow,
            ended=ended.append,
        )  # fmt: skip
        began = list[tuple[str, str, int | None]]()

        for step in calls:
            now = rig.clock.advance(ms=step.after_ms)
            visitor, page = f"visitor-{step.visitor}", f"page-{step.page}"
            if step.call == "assign":
                (answer,) = await rig.assign(pool, visitor, page_id=page)
                got = answer.formats.e164 if isinstance(answer, Leased) else None
                follow.wanted = None if got is None else names.index(got)
                given_number = model.assign(step.visitor, step.page, now)
                assert given_number.number == follow.wanted
                assert given_number.reason == answer.reason.value
                if got is not None and given_number.reason != "renewed":
                    began.append((got, given_number.reason, given_number.rested))
            elif step.call == "heartbeat":
                beat = await rig.leases.heartbeat(pool, visitor_id=visitor, page_id=page)
                assert model.heartbeat(step.visitor, step.page, now) is isinstance(beat, Alive)
            else:
                await rig.leases.close(pool, visitor_id=visitor, page_id=page)
                model.close(step.visitor, step.page, now)
            model.settle(now)  # closed without a delay, a lease is over at once
            leased = scored(await connection.execute("ZRANGE", keys.leased, 0, -1, "WITHSCORES"))
            assert {names.index(name): int(at) for name, at in leased if at > now} == (
                model.deadlines()
            )

        model.settle(rig.clock.advance(seconds=10_000))
        await rig.sweeper.sweep_once()
        events = await rig.events(pool)
        assert began == [
            (each["n"], each["r"], rested(each)) for each in events if each["t"] == ASSIGNED
        ]
        assert sorted(ended) == sorted(
            Ended(names.index(each["n"]), int(each["v"][8:]), int(each["s"]), int(each["w"]),
                  each["r"])
            for each in events if each["t"] == ENDED
        )  # fmt: skip


def rested(event: dict[str, str]) -> int | None:
    """How long a number had been free that somebody else had before."""
    released = int(event["g"])
    if event["r"] != "new" or released < NEVER_LEASED_MS:
        return None
    return int(event["w"]) - released


@pytest.mark.timeout(240)
def test_the_simulated_pool_does_what_the_scripts_do(redis_url: str) -> None:
    """To the millisecond: numbers, reasons, deadlines, ends and reuse gaps."""
    with asyncio.Runner() as runner:

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )  # fmt: skip
        @given(pool_settings=pools, calls=steps)
        def run(pool_settings: PoolSettings, calls: list[Step]) -> None:
            runner.run(compare(redis_url, pool_settings, calls))

        run()
