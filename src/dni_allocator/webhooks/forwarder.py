"""The forwarder: a lane for each active endpoint × shard, and the housekeeping around them.

Several processes share the work: each announces itself, takes its even share of the lanes by their
locks, and takes over from one that has died when its locks run out. None is needed for `/assign`
to work. Housekeeping of the outbox runs beside the lanes. Knows neither Redis nor HTTP: see
`webhooks.ports`.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from dni_allocator.domain.errors import EditConflict, EndpointUnknown, StoreUnavailable
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.rounds import pause
from dni_allocator.webhooks.gate import Gate
from dni_allocator.webhooks.housekeeping import Housekeeping, untold
from dni_allocator.webhooks.lane import Lane
from dni_allocator.webhooks.message import StandardWebhooks
from dni_allocator.webhooks.ports import (
    Attempt,
    Dialects,
    EndpointsPort,
    Observe,
    OutboxPort,
    Pace,
    PresencePort,
)
from dni_allocator.webhooks.transport import Transport

_LOG: Final = structlog.get_logger(__name__)
_BLOCK_MS: Final = 500
_NEWS_PAUSE_S: Final = 0.05
_STORE_PAUSE_S: Final = 0.5


def _unobserved(_: Attempt) -> None:
    pass


class Forwarder:
    """One forwarder process. `outboxes`: one for each shard.

    `dialects`: how each kind of endpoint is spoken to; left out: webhooks alone.
    `token` names the process to the others and must be unguessable and new at every start.
    `clock` never goes back; `wall` is seconds since 1970; `random` gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        outboxes: Sequence[OutboxPort],
        endpoints: EndpointsPort,
        presence: PresencePort,
        transport: Transport,
        dialects: Dialects | None = None,
        token: str | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] | None = None,
        observe: Observe = _unobserved,
        disabled: Callable[[Endpoint], None] = untold,
        housekeeping: Housekeeping | None = None,
    ) -> None:
        self._housekeeping = housekeeping or Housekeeping(
            outboxes=outboxes, endpoints=endpoints, pace=pace
        )
        self._outboxes = outboxes
        self._endpoints = endpoints
        self._presence = presence
        self._transport = transport
        self._dialects = dialects or {"webhook": StandardWebhooks()}
        self._token = token or secrets.token_urlsafe(16)
        self._pace = pace or Pace()
        self._clock = clock
        self._wall = wall
        self._random = random or secrets.SystemRandom().random
        self._observe = observe
        self._disabled = disabled
        self._gates: dict[str, Gate] = {}
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._gone: dict[str, Endpoint] = {}
        self._missing: dict[str, Endpoint] = {}
        self._share = 0
        self._store_down = False

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then finish what is in flight and return.

        Nothing the store or a receiver does ends it sooner: an outage of the store is logged once
        and waited out.
        """
        watchers = [asyncio.create_task(self._watch(box, stop)) for box in self._outboxes]
        housekeeping = asyncio.create_task(self._housekeeping.run(stop))
        try:
            while not stop.is_set():
                try:
                    await self._refresh()
                    self._on_store(None)
                except StoreUnavailable as error:
                    self._on_store(error)
                await pause(stop, self._pace.refresh_s)
        finally:
            await self._stop(watchers, housekeeping)

    # --- endpoints and lanes -------------------------------------------------------------------

    async def _refresh(self) -> None:
        await self._follow_answers()
        active = {one.id: one for one in await self._endpoints.all() if one.state == "active"}
        for key in [key for key, task in self._tasks.items() if task.done()]:
            self._drop(key)
        for key, lane in self._lanes.items():
            if key[0] not in active:
                lane.end()
        for endpoint in active.values():
            for outbox in self._outboxes:
                self._open_lane(endpoint, outbox)
        for endpoint_id in [one for one in self._gates if one not in active]:
            del self._gates[endpoint_id]
        self._limit_rates(active)
        alive = await self._presence.announce(self._token, ttl_ms=self._pace.lock_ttl_ms)
        lanes = len(active) * len(self._outboxes)
        self._share = -(-lanes // max(1, alive))
        for lane in [lane for lane in self._lanes.values() if lane.held][self._share :]:
            lane.give_up()

    def _open_lane(self, endpoint: Endpoint, outbox: OutboxPort) -> None:
        key = (endpoint.id, outbox.shard)
        if key in self._lanes:
            self._lanes[key].endpoint = endpoint
            return
        pace = self._pace
        gate = self._gates.setdefault(
            endpoint.id,
            Gate(
                clock=self._clock,
                random=self._random,
                concurrency=pace.concurrency,
                most_failures=pace.most_failures,
                first_pause_s=pace.first_pause_s,
                longest_pause_s=pace.longest_pause_s,
            ),
        )
        lane = Lane(
            endpoint,
            outbox=outbox,
            gate=gate,
            transport=self._transport,
            dialects=self._dialects,
            token=self._token,
            pace=pace,
            clock=self._clock,
            wall=self._wall,
            random=self._random,
            may_take=self._may_take,
            on_gone=self._on_gone,
            on_missing=self._on_missing,
            on_store=self._on_store,
            observe=self._observe,
        )
        self._lanes[key] = lane
        self._tasks[key] = asyncio.create_task(lane.run())

    def _limit_rates(self, active: Mapping[str, Endpoint]) -> None:
        """Each process may use as much of an endpoint's rate as it serves of its shards."""
        for endpoint_id, gate in self._gates.items():
            held = sum(lane.held for key, lane in self._lanes.items() if key[0] == endpoint_id)
            share = max(1, held) / len(self._outboxes)
            gate.limit(active[endpoint_id].rate_limit * share)

    def _drop(self, key: tuple[str, int]) -> None:
        task = self._tasks.pop(key)
        del self._lanes[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of ours. The lane is opened anew; its events are still in the outbox.
            _LOG.error("lane broke", endpoint=key[0], shard=key[1], exc_info=error)

    def _may_take(self) -> bool:
        return sum(lane.held for lane in self._lanes.values()) < self._share

    def _on_gone(self, endpoint: Endpoint) -> None:
        self._gone[endpoint.id] = endpoint
        for (endpoint_id, _), lane in self._lanes.items():
            if endpoint_id == endpoint.id:
                lane.end()

    def _on_missing(self, endpoint: Endpoint) -> None:
        self._missing[endpoint.id] = endpoint

    def _on_store(self, error: StoreUnavailable | None) -> None:
        if error is not None and not self._store_down:
            _LOG.warning("the store is away, deliveries wait", detail=error.detail)
        elif error is None and self._store_down:
            _LOG.info("the store is back")
        self._store_down = error is not None

    async def _follow_answers(self) -> None:
        """Write down what answers said of endpoints: 410 disables, lost positions are made anew."""
        for endpoint in list(self._gone.values()):
            wanted = replace(endpoint, state="disabled", disabled_reason="gone")
            try:
                await self._endpoints.replace(endpoint, wanted)
                _LOG.warning("endpoint disabled: it answered 410 Gone", endpoint=endpoint.id)
                self._disabled(wanted)
            except (EditConflict, EndpointUnknown):
                # An edit came in between: the edited endpoint gets its own chance.
                _LOG.info("endpoint edited since it answered 410", endpoint=endpoint.id)
            del self._gone[endpoint.id]
        for endpoint in list(self._missing.values()):
            await self._endpoints.heal(endpoint.id)
            del self._missing[endpoint.id]

    # --- around the lanes ----------------------------------------------------------------------

    async def _watch(self, outbox: OutboxPort, stop: asyncio.Event) -> None:
        """Wake the shard's lanes when its outbox grows: one blocked read for all endpoints."""
        seen = "0-0"
        while not stop.is_set():
            try:
                newest = await outbox.waiting_for_news(after=seen, block_ms=_BLOCK_MS)
            except StoreUnavailable as error:
                self._on_store(error)
                await pause(stop, _STORE_PAUSE_S)
                continue
            if newest == seen:
                continue
            seen = newest
            for (_, shard), lane in self._lanes.items():
                if shard == outbox.shard:
                    lane.notice()
            # Under load one look tells of many events.
            await pause(stop, _NEWS_PAUSE_S)

    async def _stop(
        self, watchers: Sequence[asyncio.Task[None]], housekeeping: asyncio.Task[None]
    ) -> None:
        for lane in self._lanes.values():
            lane.end()
        ending = [*self._tasks.values(), *watchers, housekeeping]
        _, late = await asyncio.wait(ending, timeout=self._pace.stop_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        try:
            await self._presence.leave(self._token)
        except StoreUnavailable as error:
            self._on_store(error)
