"""One endpoint's part of one shard: read ahead, send, settle, in that circle, under a lock.

Owns when something is sent and what a failure leads to; the order is that of `webhooks.window`.
One event a request: a failed one is parked for its retry and the rest goes on. In batches: a failed
one keeps its place, and all behind it waits, so a receiver sees a number's events in order whatever
happens. The position moves behind the last entry of which all before are settled; after a crash
everything behind it is sent again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Final

import structlog

from dni_allocator.domain.delivery import (
    Entry,
    Settlement,
)
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.webhook import (
    RETRY_SPAN_S,
    Endpoint,
    Verdict,
    hold_s,
    retry_delay_s,
)
from dni_allocator.rounds import pause
from dni_allocator.webhooks.gate import Gate
from dni_allocator.webhooks.ports import Dialects, Observe, OutboxPort, Pace
from dni_allocator.webhooks.sending import Sender
from dni_allocator.webhooks.transport import Transport
from dni_allocator.webhooks.window import Window

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
        dialects: Dialects,
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
        self._token = token
        self._pace = pace
        self._clock = clock
        self._random = random
        self._may_take = may_take
        self._on_gone = on_gone
        self._on_missing = on_missing
        self._on_store = on_store
        self._sender = Sender(
            gate=gate,
            transport=transport,
            dialects=dialects,
            pace=pace,
            clock=clock,
            wall=wall,
            observe=observe,
        )
        self._log = _LOG.bind(endpoint=endpoint.id, shard=outbox.shard)
        self._wake = asyncio.Event()
        self._news = True
        self._end = asyncio.Event()
        self._yielding = False
        self._forget()

    def _forget(self) -> None:
        """Start from the stored position: nothing read, nothing sent."""
        self._read_to = ""
        self._window = Window()
        self._done: list[Settlement] = []
        self._sender.forget()
        self._position = ""
        self._in_flight: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._more = True
        self._next_due = 0.0
        # Of the batch at the head: how many events it may have, when it is tried again, and since
        # when it has failed.
        self._batch_limit = self.endpoint.batch_size
        self._hold_until = 0.0
        self._failing_since: float | None = None
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
                await pause(self._end, min(self._pace.lock_ttl_ms / 10_000, self._pace.idle_s))

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
                await self._sender.write_log(self._outbox, self.endpoint.id, at_once=leaving)
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
            await pause(self._wake, self._idle_s())
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
        position = self._window.advance() or self._position
        self._position = position
        if not self._done and not position and not self._sender.heard:
            return True
        written, heard = list(self._done), self._sender.heard
        retrying = self._window.retrying
        kept = await self._outbox.settle(
            self.endpoint.id,
            token=self._token,
            settlements=[
                # An entry that was taken at once leaves no trace but the position.
                one
                for one in written
                if one.outcome != "taken" or one.entry.id in retrying
            ],
            position=position,
            heard=heard,
        )
        self._committed = self._clock()
        if kept:
            del self._done[: len(written)]
            retrying.difference_update(one.entry.id for one in written)
            self._position = ""
            if self._sender.heard == heard:
                self._sender.heard = ""
        return kept

    @property
    def _read_ahead(self) -> int:
        # A batch is filled while the one before it is under way.
        return max(self._pace.read_ahead, 2 * self.endpoint.batch_size * self.endpoint.in_batches)

    async def _refill(self) -> bool:
        most, retrying = self._read_ahead, self._window.retrying
        most_due = max(_MOST_DUE, self.endpoint.batch_size * self.endpoint.in_batches)
        room = most - len(self._window)
        wanted = room if (self._news or self._more) and room >= most // 2 else 0
        is_due = self._clock() >= self._next_due and len(retrying) < most_due
        if not wanted and not is_due:
            return True
        if wanted:
            self._news = False
        batch = await self._outbox.read(
            self.endpoint.id,
            token=self._token,
            after=self._read_to,
            limit=wanted,
            most_due=most_due - len(retrying),
            busy=retrying,
        )
        if batch is None:
            self._news = True
            self._on_missing(self.endpoint)
            return False
        if wanted:
            self._more = len(batch.new) == wanted
        if batch.new:
            self._read_to = batch.new[-1].id
            self._window.take_new(batch.new)
        self._window.take_due(batch.due)
        wait_s = self._pace.idle_s if batch.next_due_ms is None else batch.next_due_ms / 1000
        self._next_due = self._clock() + min(wait_s, self._pace.idle_s)
        return True

    def _wants(self, entry: Entry) -> bool:
        if entry.fields.get("endpoint_id") == self.endpoint.id:
            return False  # that it was disabled is for the others to hear
        told = entry.fields
        return self.endpoint.wants(told.get("t", ""), told.get("p", ""), told.get("o", ""))

    def _start_ready(self) -> None:
        if self.endpoint.in_batches:
            self._start_batch()
            return
        while True:
            self._skip(self._window.skip_unwanted(self._wants))
            if not self._window.has_ready or not self._gate.enter(self._wake):
                return
            entry = self._window.next_alone()
            if entry is None:
                self._gate.abandon()
                return
            if not self._wants(entry):
                self._gate.abandon()
                self._window.landed(entry)
                self._skip([entry])
                continue
            self._start(self._deliver_alone(entry))

    def _start_batch(self) -> None:
        if self._in_flight or self._clock() < self._hold_until:
            return
        self._skip(self._window.skip_unwanted(self._wants))
        if not self._window.has_ready or not self._gate.enter(self._wake):
            return
        limit = min(self._batch_limit, self.endpoint.batch_size)
        entries, skipped = self._window.next_batch(limit, self._wants)
        self._skip(skipped)
        self._start(self._deliver_batch(entries))

    def _skip(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._settle(Settlement(entry, "taken"))
        if entries:
            self._wake.set()

    def _start(self, delivery: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(delivery)
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    def _idle_s(self) -> float:
        wait_s = min(self._pace.idle_s, self._pace.lock_ttl_ms / 3000)
        if self._in_flight and (self._done or self._window.has_settled):
            wait_s = min(wait_s, self._pace.commit_s)
        if self._window.has_ready:
            wait_s = min(wait_s, self._gate.wait_s() or wait_s)
            held_s = self._hold_until - self._clock()
            if self.endpoint.in_batches and held_s > 0:
                wait_s = min(wait_s, held_s)
        return max(0.0, min(wait_s, self._next_due - self._clock()))

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error

    # --- one delivery --------------------------------------------------------------------------

    async def _deliver_alone(self, entry: Entry) -> None:
        judged, note, asked_s = await self._sender.send(self.endpoint, [entry])
        self._window.landed(entry)
        if judged is Verdict.GONE:
            self._on_gone(self.endpoint)
            return
        sent = replace(entry, attempts=entry.attempts + 1)
        delay_s = None
        if judged is not Verdict.REFUSED:
            delay_s = retry_delay_s(sent.attempts, random=self._random(), retry_after_s=asked_s)
        if judged is Verdict.TAKEN:
            self._settle(Settlement(sent, "taken"))
        elif delay_s is None:
            self._settle(Settlement(sent, "dead", note=note))
        else:
            self._settle(Settlement(sent, "retry", delay_ms=round(delay_s * 1000), note=note))
        self._tell_failure(judged, [sent], note=note, retry_in_s=delay_s)

    async def _deliver_batch(self, entries: Sequence[Entry]) -> None:
        judged, note, asked_s = await self._sender.send(self.endpoint, entries)
        sent = [replace(entry, attempts=entry.attempts + 1) for entry in entries]
        if judged is Verdict.TAKEN:
            for entry in sent:
                self._settle(Settlement(entry, "taken"))
            self._failing_since = None
            self._batch_limit = min(self.endpoint.batch_size, 2 * self._batch_limit)
            return
        if judged is Verdict.GONE:
            self._window.put_back(entries)
            self._on_gone(self.endpoint)
            return
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        is_hopeless = now - self._failing_since >= RETRY_SPAN_S
        if len(sent) == 1 and (judged is Verdict.REFUSED or is_hopeless):
            self._failing_since = None
            self._settle(Settlement(sent[0], "dead", note=note))
            self._tell_failure(judged, sent, note=note, retry_in_s=None)
            return
        # In halves from now on: a single event that cannot be taken is found after nine, and what
        # lies before it gets through. The order stays.
        self._batch_limit = max(1, len(sent) // 2)
        hold = 0.0 if judged is Verdict.REFUSED else hold_s(sent[0].attempts, random=self._random())
        self._hold_until = now + max(hold, asked_s or 0.0)
        self._window.put_back(sent)
        self._tell_failure(judged, sent, note=note, retry_in_s=self._hold_until - now)

    def _tell_failure(
        self, judged: Verdict, sent: Sequence[Entry], *, note: str, retry_in_s: float | None
    ) -> None:
        if judged is Verdict.TAKEN:
            return
        self._log.info(
            "delivery failed",
            event_id=sent[0].event_id,
            events=len(sent),
            answer=note,
            attempts=sent[0].attempts,
            retry_in_s=None if retry_in_s is None else round(retry_in_s, 1),
        )

    def _settle(self, settlement: Settlement) -> None:
        self._done.append(settlement)
        self._window.settled(settlement.entry.id)
