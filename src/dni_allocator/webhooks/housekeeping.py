"""Housekeeping of the outbox: trimming, the cap with its alarm, endpoints that fail for good.

Every process that serves or forwards does it, so that it is done whoever else is away; all of it is
safe to do twice at once. Knows neither Redis nor HTTP: see `webhooks.ports`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from dni_allocator.domain.delivery import OutboxSize
from dni_allocator.domain.errors import EditConflict, EndpointUnknown
from dni_allocator.domain.webhook import Endpoint, Health
from dni_allocator.rounds import rounds
from dni_allocator.webhooks.ports import EndpointsPort, OutboxPort, Pace

_LOG: Final = structlog.get_logger(__name__)
DEFAULT_CAP_BYTES: Final = 2 * 1024**3
ALARM_SHARE: Final = 0.5
"""The alarm comes when the outbox is so full: long before anything is dropped."""

_AFTER_DROP_SHARE: Final = 0.95

SHORT_SHARE: Final = 0.9
"""Of the server's memory: above it nothing is kept only for replay."""


@dataclass(frozen=True, slots=True)
class Outboxes:
    """All shards together, as last measured; see `OutboxSize`."""

    entries: int
    pending: int
    bytes: int
    lost: int
    oldest_unread_ms: int | None
    cap_bytes: int

    @property
    def is_filling(self) -> bool:
        """Whether an operator should look after it."""
        return self.bytes >= ALARM_SHARE * self.cap_bytes


def _unobserved(_: Outboxes) -> None:
    pass


async def unlimited() -> float:
    """The share of a memory without limit that is used."""
    return 0.0


def untold(_: Endpoint) -> None:
    """Tell nobody that an endpoint was disabled."""


class Housekeeping:
    """The housekeeper of all shards. `cap_bytes`: the most memory the outboxes may take together.

    Between two rounds (`Pace.housekeeping_s`) they may grow over it. `memory`: which share of the
    store's is used.
    """

    def __init__(
        self,
        *,
        outboxes: Sequence[OutboxPort],
        endpoints: EndpointsPort,
        pace: Pace | None = None,
        cap_bytes: int = DEFAULT_CAP_BYTES,
        observe: Callable[[Outboxes], None] = _unobserved,
        disabled: Callable[[Endpoint], None] = untold,
        memory: Callable[[], Awaitable[float]] = unlimited,
    ) -> None:
        self._outboxes = outboxes
        self._endpoints = endpoints
        self._pace = pace or Pace()
        self._cap_bytes = cap_bytes
        self._observe = observe
        self._disabled = disabled
        self._memory = memory
        self._was_short = False
        self._was_filling = False

    async def run(self, stop: asyncio.Event) -> None:
        """One round after the other until `stop` is set. An outage of the store is waited out."""
        await rounds(self.round, stop, every_s=self._pace.housekeeping_s, name="housekeeping")

    async def round(self) -> None:
        """Do everything once. Raises `StoreUnavailable`."""
        pace = self._pace
        # Also of disabled endpoints: nothing else would ever look at theirs again.
        endpoints = await self._endpoints.all()
        for outbox in self._outboxes:
            while await outbox.trim(keep=pace.keep, keep_for_ms=pace.keep_for_ms):
                pass
            for endpoint in endpoints:
                await outbox.forget_dead_letters(endpoint.id, keep_for_ms=pace.keep_dead_letters_ms)
        await self._keep_below_the_cap()
        for endpoint in endpoints:
            if endpoint.state == "active":
                await self._disable_if_failing(endpoint)

    # --- the cap -------------------------------------------------------------------------------

    async def _keep_below_the_cap(self) -> None:
        sizes = [await outbox.size() for outbox in self._outboxes]
        total = sum(size.bytes for size in sizes)
        if await self._is_short() or total > self._cap_bytes:
            # First what is only kept for replay: that costs nobody an event.
            for outbox in self._outboxes:
                while await outbox.trim(keep=0, keep_for_ms=0):
                    pass
            sizes = [await outbox.size() for outbox in self._outboxes]
            total = sum(size.bytes for size in sizes)
        if total > self._cap_bytes:
            await self._drop(sizes, total)
            sizes = [await outbox.size() for outbox in self._outboxes]
        self._tell(sizes)

    async def _is_short(self) -> bool:
        used = await self._memory()
        is_short = used > SHORT_SHARE
        if is_short and not self._was_short:
            _LOG.error("the store's memory is nearly full: no event is kept for replay", used=used)
        self._was_short = is_short
        return is_short

    async def _drop(self, sizes: Sequence[OutboxSize], total: int) -> None:
        # Of every shard the same share, a little more than must be, so that it is not every round.
        share = _AFTER_DROP_SHARE * self._cap_bytes / total
        dropped = lost = 0
        for outbox, size in zip(self._outboxes, sizes, strict=True):
            keep = int(size.entries * share)
            while (found := await outbox.cap(keep=keep)) != (0, 0):
                dropped, lost = dropped + found[0], lost + found[1]
        _LOG.critical(
            "outbox over its cap: the oldest events were dropped",
            dropped=dropped,
            lost=lost,
            bytes=total,
            cap_bytes=self._cap_bytes,
        )

    def _tell(self, sizes: Sequence[OutboxSize]) -> None:
        unread = [size.oldest_unread_ms for size in sizes if size.oldest_unread_ms is not None]
        seen = Outboxes(
            entries=sum(size.entries for size in sizes),
            pending=sum(size.pending for size in sizes),
            bytes=sum(size.bytes for size in sizes),
            lost=sum(size.lost for size in sizes),
            oldest_unread_ms=min(unread, default=None),
            cap_bytes=self._cap_bytes,
        )
        if seen.is_filling and not self._was_filling:
            _LOG.error(
                "outbox filling up: an endpoint does not take its events",
                bytes=seen.bytes,
                cap_bytes=seen.cap_bytes,
                entries=seen.entries,
            )
        self._was_filling = seen.is_filling
        self._observe(seen)

    # --- endpoints -----------------------------------------------------------------------------

    async def _disable_if_failing(self, endpoint: Endpoint) -> None:
        health = Health()
        for outbox in self._outboxes:
            health = health.joined(await outbox.health(endpoint.id))
        if not health.has_failed_too_long():
            return
        wanted = replace(endpoint, state="disabled", disabled_reason="failing")
        try:
            await self._endpoints.replace(endpoint, wanted)
            _LOG.error("endpoint disabled: it failed for five days", endpoint=endpoint.id)
            self._disabled(wanted)
        except (EditConflict, EndpointUnknown):
            # Somebody is looking after it just now.
            _LOG.info("endpoint edited while it was to be disabled", endpoint=endpoint.id)
