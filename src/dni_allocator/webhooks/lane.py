"""One endpoint's part of one shard: read ahead, send, settle, in that circle, under a lock.

Owns the order of deliveries. Entries are sent in the order of the outbox, several at once, but
never two of one number at once, so a receiver sees a number's events in order while deliveries
succeed. A failed one is parked for its retry and the rest goes on. The position moves behind the
last entry of which all before are settled; after a crash everything behind it is sent again.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import orjson
import structlog

from dni_allocator.domain.delivery import Entry, Settlement
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import (
    Endpoint,
    Verdict,
    retry_after_s,
    retry_delay_s,
    verdict,
)
from dni_allocator.webhooks.gate import Gate
from dni_allocator.webhooks.ports import Attempt, Observe, OutboxPort, Pace
from dni_allocator.webhooks.signing import sign
from dni_allocator.webhooks.transport import Transport

_LOG: Final = structlog.get_logger(__name__)
_MOST_DUE: Final = 64
_STORE_PAUSE_S: Final = 0.2


class Lane:
    """One endpoint × shard of one forwarder process. `endpoint` may be swapped for an edited one.

    `may_take` is asked before the lock is tried, `on_gone` told when the receiver answers 410, and
    `on_missing` when the store has no position for the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        outbox: OutboxPort,
        gate: Gate,
        transport: Transport,
        token: str,
        pace: Pace,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        may_take: Callable[[], bool],
        on_gone: Callable[[Endpoint], None],
        on_missing: Callable[[Endpoint], None],
        on_store: Callable[[StoreUnavailable | None], None],
        observe: Observe,
    ) -> None:
        self.endpoint = endpoint
        self.held = False
        self._outbox = outbox
        self._gate = gate
        self._transport = transport
        self._token = token
        self._pace = pace
        self._clock = clock
        self._wall = wall
        self._random = random
        self._may_take = may_take
        self._on_gone = on_gone
        self._on_missing = on_missing
        self._on_store = on_store
        self._observe = observe
        self._log = _LOG.bind(endpoint=endpoint.id, shard=outbox.shard)
        self._wake = asyncio.Event()
        self._news = True
        self._end = asyncio.Event()
        self._yielding = False
        self._forget()

    def _forget(self) -> None:
        """Start from the stored position: nothing read, nothing sent."""
        self._read_to = ""
        self._window: deque[str] = deque()
        self._settled: set[str] = set()
        self._ready: deque[Entry] = deque()
        self._behind: dict[str, deque[Entry]] = {}
        self._numbers: set[str] = set()
        self._retrying: set[str] = set()
        self._done: list[Settlement] = []
        self._position = ""
        self._in_flight: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._more = True
        self._next_due = 0.0
        self._renewed = self._committed = self._clock()

    # --- for the forwarder ---------------------------------------------------------------------

    def notice(self) -> None:
        """There may be something new in the outbox."""
        self._news = True
        self._wake.set()

    def give_up(self) -> None:
        """Finish what is in flight, then let another forwarder have it."""
        self._yielding = True
        self._wake.set()

    def end(self) -> None:
        """Finish what is in flight, then return from `run`."""
        self._end.set()
        self._wake.set()

    async def run(self) -> None:
        """Serve whenever the lock can be had, until `end`."""
        while not self._end.is_set():
            if self._may_take():
                self.held = True
                try:
                    await self._serve_if_free()
                except StoreUnavailable as error:
                    self._on_store(error)
                finally:
                    self.held = False
                    self._yielding = False
            if not self._end.is_set():
                await _wait(self._end, min(self._pace.lock_ttl_ms / 10_000, self._pace.idle_s))

    # --- the circle ----------------------------------------------------------------------------

    async def _serve_if_free(self) -> None:
        ttl_ms = self._pace.lock_ttl_ms
        if not await self._outbox.lock(self.endpoint.id, token=self._token, ttl_ms=ttl_ms):
            return
        self._on_store(None)
        self._forget()
        try:
            await self._serve()
        finally:
            for task in self._in_flight:
                task.cancel()
            with contextlib.suppress(StoreUnavailable):
                await self._outbox.unlock(self.endpoint.id, token=self._token)

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            leaving = self._end.is_set() or self._yielding
            try:
                if not await self._keep_lock() or not await self._commit(at_once=leaving):
                    self._log.warning("lane lost to another forwarder")
                    return
                if leaving and not self._in_flight and not self._done:
                    return
                if not leaving and not await self._refill():
                    return
                self._on_store(None)
            except StoreUnavailable as error:
                # What is known stays known: it is settled when the store is back.
                self._on_store(error)
                if leaving and not self._in_flight:
                    return
                await asyncio.sleep(_STORE_PAUSE_S)
                continue
            if not leaving:
                self._start_ready()
            await _wait(self._wake, self._idle_s())
            if self._broken is not None:
                raise self._broken

    async def _keep_lock(self) -> bool:
        now, ttl_ms = self._clock(), self._pace.lock_ttl_ms
        if now - self._renewed < ttl_ms / 3000:
            return True
        held = await self._outbox.lock(self.endpoint.id, token=self._token, ttl_ms=ttl_ms)
        self._renewed = now
        return held

    async def _commit(self, *, at_once: bool) -> bool:
        due = at_once or not self._in_flight
        if not due and self._clock() - self._committed < self._pace.commit_s:
            return True
        position = self._position
        while self._window and self._window[0] in self._settled:
            position = self._window.popleft()
            self._settled.discard(position)
        self._position = position
        if not self._done and not position:
            return True
        written = list(self._done)
        kept = await self._outbox.settle(
            self.endpoint.id,
            token=self._token,
            settlements=[
                # An entry that was taken at once leaves no trace but the position.
                one
                for one in written
                if one.outcome != "taken" or one.entry.id in self._retrying
            ],
            position=position,
        )
        self._committed = self._clock()
        if kept:
            del self._done[: len(written)]
            self._retrying.difference_update(one.entry.id for one in written)
            self._position = ""
        return kept

    async def _refill(self) -> bool:
        room = self._pace.read_ahead - len(self._window)
        wanted = room if (self._news or self._more) and room >= self._pace.read_ahead // 2 else 0
        is_due = self._clock() >= self._next_due and len(self._retrying) < _MOST_DUE
        if not wanted and not is_due:
            return True
        if wanted:
            self._news = False
        batch = await self._outbox.read(
            self.endpoint.id,
            token=self._token,
            after=self._read_to,
            limit=wanted,
            most_due=_MOST_DUE - len(self._retrying),
            busy=self._retrying,
        )
        if batch is None:
            self._news = True
            self._on_missing(self.endpoint)
            return False
        if wanted:
            self._more = len(batch.new) == wanted
        if batch.new:
            self._read_to = batch.new[-1].id
            self._window.extend(entry.id for entry in batch.new)
            self._ready.extend(batch.new)
        for entry in reversed(batch.due):
            self._retrying.add(entry.id)
            self._ready.appendleft(entry)
        wait_s = self._pace.idle_s if batch.next_due_ms is None else batch.next_due_ms / 1000
        self._next_due = self._clock() + min(wait_s, self._pace.idle_s)
        return True

    def _start_ready(self) -> None:
        while self._ready:
            entry = self._ready[0]
            number = entry.fields.get("n", "")
            if not self.endpoint.wants(entry.fields.get("t", "")):
                self._ready.popleft()
                self._settle(Settlement(entry, "taken"))
                self._wake.set()
            elif number in self._numbers:
                self._ready.popleft()
                self._behind.setdefault(number, deque()).append(entry)
            elif self._gate.enter(self._wake):
                self._ready.popleft()
                if number:
                    self._numbers.add(number)
                task = asyncio.create_task(self._deliver(entry, number))
                self._in_flight.add(task)
                task.add_done_callback(self._landed)
            else:
                return

    def _idle_s(self) -> float:
        wait_s = min(self._pace.idle_s, self._pace.lock_ttl_ms / 3000)
        if self._in_flight and (self._done or self._settled):
            wait_s = min(wait_s, self._pace.commit_s)
        if self._ready:
            wait_s = min(wait_s, self._gate.wait_s() or wait_s)
        return max(0.0, min(wait_s, self._next_due - self._clock()))

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            self._wake.set()

    # --- one delivery --------------------------------------------------------------------------

    async def _deliver(self, entry: Entry, number: str) -> None:
        endpoint, event = self.endpoint, entry.event
        body = _body(event)
        timestamp_s = int(self._wall())
        headers = {
            "content-type": "application/json",
            "user-agent": "dni-allocator",
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(
                (endpoint.secret, *endpoint.old_secrets),
                message_id=event.id,
                timestamp_s=timestamp_s,
                body=body,
            ),
        }
        started = self._clock()
        try:
            answer = await self._transport.post(endpoint.url, headers=headers, body=body)
        except BaseException:
            self._gate.abandon()
            raise
        judged = verdict(answer.status)
        asked_s = None
        if judged is not Verdict.TAKEN:
            asked_s = retry_after_s(answer.headers, now_s=self._wall())
        self._gate.leave(
            taken=judged is Verdict.TAKEN,
            retry_after_s=asked_s if judged is Verdict.OVERLOADED else None,
        )
        sent = replace(entry, attempts=entry.attempts + 1)
        self._observe(
            Attempt(
                endpoint_id=endpoint.id,
                event_id=event.id,
                number_of_attempt=sent.attempts,
                verdict=judged,
                status=answer.status,
                failure=answer.failure,
                seconds=self._clock() - started,
            )
        )
        self._numbers.discard(number)
        if number in self._behind:
            self._ready.extendleft(reversed(self._behind.pop(number)))
        if judged is Verdict.GONE:
            self._on_gone(endpoint)
        else:
            note = "" if judged is Verdict.TAKEN else answer.failure or str(answer.status)
            self._settle(self._settlement(sent, judged, note=note, asked_s=asked_s))
        self._wake.set()

    def _settlement(
        self, sent: Entry, judged: Verdict, *, note: str, asked_s: float | None
    ) -> Settlement:
        if judged is Verdict.TAKEN:
            return Settlement(sent, "taken")
        delay_s = None
        if judged is not Verdict.REFUSED:
            delay_s = retry_delay_s(sent.attempts, random=self._random(), retry_after_s=asked_s)
        self._log.info(
            "delivery failed",
            event_id=sent.event.id,
            number=f"…{sent.fields.get('n', '')[-4:]}",
            answer=note,
            attempts=sent.attempts,
            retry_in_s=None if delay_s is None else round(delay_s, 1),
        )
        if delay_s is None:
            return Settlement(sent, "dead", note=note)
        return Settlement(sent, "retry", delay_ms=round(delay_s * 1000), note=note)

    def _settle(self, settlement: Settlement) -> None:
        self._done.append(settlement)
        if settlement.entry.id not in self._retrying:
            self._settled.add(settlement.entry.id)


def _body(event: Event) -> bytes:
    payload = event.payload()
    try:
        return orjson.dumps(payload)
    except TypeError:
        # Captured data may hold what JSON can write and UTF-8 cannot: half a surrogate pair.
        return json.dumps(payload, separators=(",", ":")).encode()


async def _wait(signal: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await signal.wait()
