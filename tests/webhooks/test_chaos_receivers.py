"""A receiver that does everything wrong, for a long time: nothing is lost, nothing is doubled."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from dni_allocator.domain.webhook import Body
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import (
    LOOPBACK,
    QUICK,
    HasteClock,
    assigned,
    endpoint,
    event_ids,
    forwarder,
    publish,
    running,
)
from tests.support.receiver import HANG, RESET, Delivery, Receiver, receiving
from tests.support.waiting import POLL_S, wait_until_async
from tests.webhooks.conftest import RetryClock

pytestmark = pytest.mark.chaos

SHARDS = 2
PAGE = 200
NUMBERS = 100
TROUBLE = [500, 429, 503, 301, 404, RESET]


class Wild:
    """How the receiver answers: mostly well; sometimes it hangs, and seldom it says 410."""

    def __init__(self, seed: int, *, share: float) -> None:
        self._share = share
        self._chance = random.Random(seed)  # noqa: S311 -- the same trouble each time
        self.kinds: Counter[int] = Counter()

    def __call__(self, _: Delivery) -> int:
        """The status for one request."""
        roll = self._chance.random()
        status = 204
        if roll < 0.01 * self._share:
            status = 410
        elif roll < 0.03 * self._share:
            status = HANG
        elif roll < self._share:
            status = self._chance.choice(TROUBLE)
        self.kinds[status] += 1
        return status


@asynccontextmanager
async def enabled_again(endpoints: Endpoints) -> AsyncIterator[Counter[str]]:
    """An operator who switches the endpoint on again whenever it was disabled; counts why."""
    reasons: Counter[str] = Counter()

    async def watch() -> None:
        while True:
            one = await endpoints.get("whe_one")
            if one.state == "disabled":
                reasons[one.disabled_reason] += 1
                await endpoints.replace(one, replace(one, state="active", disabled_reason=""))
            await asyncio.sleep(POLL_S)

    task = asyncio.create_task(watch())
    try:
        yield reasons
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def time_flies(clock: RetryClock) -> AsyncIterator[None]:
    """Retries of hours are due within a blink, though never five days go by unanswered."""

    async def run() -> None:
        while True:
            clock.ahead_s += 60
            await asyncio.sleep(POLL_S)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Books:
    """The events that were taken, by all receivers together; each delivery is read once."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self._read: dict[int, int] = {}

    def after(self, *receivers: Receiver) -> set[str]:
        """What has been taken by now."""
        for one in receivers:
            begin = self._read.get(id(one), 0)
            for delivery in one.taken[begin:]:
                self.events.update(event_ids(delivery))
                begin += 1
            self._read[id(one)] = begin
        return self.events


@pytest.mark.parametrize(
    "events", [1_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("body", ["single", "json"])
async def test_whatever_a_receiver_does_every_event_arrives(
    body: Body, events: int, connection: Connection, clock: RetryClock
) -> None:
    """It fails at random, hangs, resets, answers 500, 429, 410, 301, dies and returns.

    None is lost, duplicates have the same id and bytes, and batches keep the order of each number.
    """
    endpoints = Endpoints(connection.execute, shards=SHARDS)
    # There are fewer requests where they carry more.
    wild = Wild(seed=events, share=0.1 if body == "single" else 0.3)
    pace = replace(QUICK, idle_s=0.005)
    books = Books()
    sent: list[list[str]] = [[] for _ in range(SHARDS)]
    async with (
        HttpTransport(allowed=LOOPBACK, timeout_s=0.5) as transport,
        receiving() as first,
    ):
        first.answer = wild
        await endpoints.create(replace(endpoint(first.url), body=body, batch_size=10))
        made = forwarder(
            connection, transport, shards=SHARDS, pace=pace, clock=clock,
            monotonic=HasteClock(10_000.0),
        )  # fmt: skip
        async with enabled_again(endpoints) as reasons, time_flies(clock), running(made):
            for start in range(0, events, PAGE):
                shard = start // PAGE % SHARDS
                page = [assigned(number(n), fence=n) for n in range(start, start + PAGE)]
                sent[shard] += await publish(connection, page, shard=shard)
            total = {one for some in sent for one in some}
            limit_s = 60 if events <= 1_000 else 800
            await wait_until_async(
                lambda: len(books.after(first)) >= events // 3, timeout_s=limit_s, what="a third"
            )
            port = urlsplit(first.url).port or 0
            await first.die()
            async with receiving(port) as back:
                back.answer = wild
                await wait_until_async(
                    lambda: total <= books.after(first, back), timeout_s=limit_s, what="all of them"
                )

    came = [*first.came, *back.came]
    assert len(total) == events
    assert books.after(first, back) == total
    assert wild.kinds.total() - wild.kinds[204] > 20
    assert len(wild.kinds) > 5
    assert set(reasons) <= {"gone"}
    by_id: dict[str, set[bytes]] = {}
    for one in came:
        by_id.setdefault(one.id, set()).add(one.body)
    assert {len(bodies) for bodies in by_id.values()} == {1}, "one id, one body"
    if body == "json":
        in_order(first, back, sent)


def number(at: int) -> str:
    """One of a hundred numbers."""
    return f"+1415555{at % NUMBERS:04}"


def in_order(first: Receiver, back: Receiver, sent: list[list[str]]) -> None:
    """Each shard's events, counted where they came first, are in the order of their writing."""
    taken = [each for one in (*first.taken, *back.taken) for each in event_ids(one)]
    once = list(dict.fromkeys(taken))
    for shard, wanted in enumerate(sent):
        assert [one for one in once if one.startswith(f"evt_s{shard}_")] == wanted
