"""Who uses the service in a chaos run: visitors with tabs and bad networks, callers, an operator.

Each has a seed of its own, so what they do is repeatable; what comes between two of their requests
is not. They are quick: pages live for moments, so that numbers go round while the run lasts.
"""

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson

from tests.chaos.deployment import Deployment, Program
from tests.chaos.history import (
    ASSIGN,
    ATTRIBUTION,
    CLOSE,
    HEARTBEAT,
    Operation,
    Recorder,
    Rules,
    Shown,
    Who,
)
from tests.chaos.wire import LOST, Answer, Browser
from tests.support.cluster import LOOPBACK
from tests.support.service import ORIGIN

TRIES = 4
"""As the tag's, a page asks again when it was not answered."""


@dataclass(slots=True)
class Street:
    """What everybody shares: where to go, what was shown lately, what is under way."""

    deployment: Deployment
    recorder: Recorder
    keys: dict[str, str]
    """Publishable key by pool."""
    browser: Browser = field(default_factory=lambda: Browser(LOOPBACK))
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    seen: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=200))
    """Pools and numbers that pages showed."""
    instants: deque[tuple[str, str, int]] = field(default_factory=lambda: deque(maxlen=200))
    """Pools, numbers and instants that were asked after."""
    late: set[asyncio.Task[Operation]] = field(default_factory=set)

    @property
    def rules(self) -> dict[str, Rules]:
        """The pools."""
        return self.recorder.history.rules

    async def ask(self, service: Program, asked: Operation) -> Operation:
        """One request and whatever becomes of it, recorded."""
        answer: Answer | None = None
        failure = ""
        begin = time.monotonic()
        try:
            answer = await self._send(service, asked)
        except LOST as error:
            failure = type(error).__name__
        end = time.monotonic()
        done = Operation(
            call=asked.call, begin=begin, end=None if answer is None else end, service=service.name,
            pool=asked.pool, visitor=asked.visitor, page=asked.page, number=asked.number,
            at_ms=asked.at_ms, status=None if answer is None else answer.status,
            failure=failure, **_told(asked, answer),
        )  # fmt: skip
        self.recorder.add(done)
        return done

    async def _send(self, service: Program, asked: Operation) -> Answer:
        ask = self.browser.ask
        if asked.call == ATTRIBUTION:
            query = "" if asked.at_ms is None else f"?at={_iso(asked.at_ms)}"
            target = f"/attribution/{asked.number}{query}"
            return await ask(service.front, "GET", target, headers=self.deployment.headers)
        body: dict[str, object] = {
            "key": self.keys[asked.pool], "visitor_id": asked.visitor, "page_id": asked.page,
        }  # fmt: skip
        if asked.shown:
            body["destinations"] = [shown.destination for shown in asked.shown]
        return await ask(
            service.front, "POST", f"/{asked.call}", headers={"origin": ORIGIN},
            body=orjson.dumps(body),
        )  # fmt: skip


def _told(asked: Operation, answer: Answer | None) -> dict[str, Any]:
    """What a good answer says."""
    if answer is None or answer.status != 200:
        return {}
    body = answer.body
    match asked.call:
        case "assign":
            rows = body["numbers"]
            return {
                "shown": tuple(
                    Shown(**{name: row[name] for name in Shown.__dataclass_fields__})
                    for row in rows
                )
            }
        case "heartbeat":
            return {"gone": body.get("gone", False), "expires_in_s": body.get("expires_in_s")}
        case _:
            return {
                "who": Who(
                    at_ms=milliseconds(body["at"]), basis=body["basis"], route_to=body["route_to"],
                    visitor=body["visitor_id"], lease_id=body["lease_id"],
                    assigned_ms=_some_ms(body["assigned_at"]), ended_ms=_some_ms(body["ended_at"]),
                )
            }  # fmt: skip


def milliseconds(text: str) -> int:
    """An instant as answers and events write it, in ms since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _some_ms(text: str | None) -> int | None:
    return None if text is None else milliseconds(text)


def _iso(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, tz=UTC).isoformat()[:19]}.{rest:03d}Z"


@dataclass(slots=True)
class Visitor:
    """One browser after the other, on one chair."""

    street: Street
    name: str
    chance: random.Random
    pace: float = 1.0
    """How much longer everything takes than at the quickest."""
    known: list[tuple[str, str]] = field(default_factory=list)
    """Pools and visitors who were here before."""

    async def live(self) -> None:
        """Visits until the run is over."""
        for at in count():
            if self.street.stop.is_set():
                return
            if self.known and self.chance.random() < 0.3:
                pool, visitor = self.chance.choice(self.known)
            else:
                pool = self.chance.choice(list(self.street.keys))
                visitor = f"{self.name}-{at}"
                self.known = [*self.known[-5:], (pool, visitor)]
            await self._visit(pool, visitor, f"{self.name}-{at}")

    async def _visit(self, pool: str, visitor: str, visit: str) -> None:
        """Some pages, side by side or one after the other; then all of them close, or some do."""
        chance = self.chance
        pages: list[str] = []
        for at in range(chance.choice((1, 1, 1, 2, 3))):
            pages.append(f"{visit}-{at}")
            if not await self._open(pool, visitor, pages[-1]):
                break
            for _ in range(chance.choice((0, 1, 2, 4))):
                await self._dwell()
                await self._again(pool, visitor, chance.choice(pages))
            if len(pages) > 1 and chance.random() < 0.5:
                self._leave(pool, visitor, pages.pop(chance.randrange(len(pages))))
        if chance.random() < 0.05:
            # Silent for longer than the idle limit, with the page open.
            await self._dwell(self.street.rules[pool].idle_s * chance.uniform(0.8, 1.4))
            await self._again(pool, visitor, pages[-1])
        for page in chance.sample(pages, len(pages)):
            self._leave(pool, visitor, page)

    async def _open(self, pool: str, visitor: str, page: str) -> bool:
        """A page view; asks again when it is not answered. Whether it was."""
        asked = Operation(
            call=ASSIGN, begin=0, pool=pool, visitor=visitor, page=page,
            shown=self._wanted(pool),
        )  # fmt: skip
        for _ in range(TRIES):
            # Some requests are sent twice at once: a double click, a proxy that repeats.
            copies = 1 if self.chance.random() < 0.85 else self.chance.choice((2, 3))
            services = [self._service() for _ in range(copies)]
            ask = self.street.ask
            answers = await asyncio.gather(*(ask(each, asked) for each in services))
            for answer in answers:
                for shown in answer.shown:
                    if shown.status == "leased":
                        self.street.seen.append((pool, shown.number))
            if answers[-1].good:
                return True
            await self._dwell()
        return False

    def _wanted(self, pool: str) -> tuple[Shown, ...]:
        """Some of the pool's destinations."""
        known = self.street.rules[pool].destinations
        wanted = self.chance.sample(known, self.chance.randint(1, len(known)))
        return tuple(Shown(destination=each, number="", status="", reason="") for each in wanted)

    async def _again(self, pool: str, visitor: str, page: str) -> None:
        """A sign of life: mostly a heartbeat; when that finds nothing, as the tag does, anew."""
        if self.chance.random() < 0.3:
            await self._open(pool, visitor, page)
            return
        beat = Operation(call=HEARTBEAT, begin=0, pool=pool, visitor=visitor, page=page)
        if (await self.street.ask(self._service(), beat)).gone:
            await self._open(pool, visitor, page)

    def _leave(self, pool: str, visitor: str, page: str) -> None:
        """Closes a page: now, late, twice, or the beacon is lost."""
        luck = self.chance.random()
        if luck < 0.05:
            return
        late = self.chance.uniform(0, 2) if luck < 0.25 else 0.0
        for _ in range(2 if luck > 0.9 else 1):
            task = asyncio.create_task(self._beacon(pool, visitor, page, late))
            self.street.late.add(task)
            task.add_done_callback(self.street.late.discard)

    async def _beacon(self, pool: str, visitor: str, page: str, late_s: float) -> Operation:
        service = self._service()
        await asyncio.sleep(late_s)
        close = Operation(call=CLOSE, begin=0, pool=pool, visitor=visitor, page=page)
        return await self.street.ask(service, close)

    def _service(self) -> Program:
        return self.chance.choice(self.street.deployment.services)

    async def _dwell(self, seconds: float | None = None) -> None:
        """Somebody reads. Over at once when the run is."""
        wait_s = self.chance.expovariate(6 / self.pace) if seconds is None else seconds
        with suppress(TimeoutError):
            await asyncio.wait_for(self.street.stop.wait(), wait_s)


@dataclass(slots=True)
class Caller:
    """Asks whose numbers these are, that pages show or showed; now, and for earlier."""

    street: Street
    chance: random.Random
    pace: float = 1.0

    async def live(self) -> None:
        """Calls until the run is over."""
        street, chance = self.street, self.chance
        while not street.stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(street.stop.wait(), chance.expovariate(10 / self.pace))
            if not street.seen:
                continue
            at_ms = None
            pool, number = chance.choice(street.seen)
            if street.instants and chance.random() < 0.3:
                pool, number, at_ms = chance.choice(street.instants)
            asked = Operation(call=ATTRIBUTION, begin=0, pool=pool, number=number, at_ms=at_ms)
            done = await street.ask(chance.choice(street.deployment.services), asked)
            if done.who is not None and at_ms is None:
                street.instants.append((pool, number, done.who.at_ms))


@dataclass(slots=True)
class Operator:
    """Edits pools while they are in use, so that services find that theirs is of yesterday."""

    street: Street
    chance: random.Random
    pace: float = 1.0

    async def live(self) -> None:
        """Edits until the run is over. What decides about leases stays as it is."""
        street, chance = self.street, self.chance
        for at in count():
            with suppress(TimeoutError):
                await asyncio.wait_for(street.stop.wait(), chance.expovariate(0.5 / self.pace))
            if street.stop.is_set():
                return
            service = chance.choice(street.deployment.services)
            pool = chance.choice(list(street.keys))
            body = orjson.dumps({"campaign": f"number {at}"})
            headers = {**street.deployment.headers, "content-type": "application/json"}
            with suppress(*LOST):
                await street.browser.ask(
                    service.front, "PATCH", f"/pools/{pool}", headers=headers, body=body
                )
