"""The buyer in the background: follows orders and releases to their end, in one process at a time.

Nothing is in its memory: what is open is in the ledgers, so another process goes on where one died.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.purchase import Purchase
from dni_allocator.domain.release import Release
from dni_allocator.services.purchasing import Now, Purchasing, wall_clock
from dni_allocator.services.releasing import Releasing
from dni_allocator.store.ledger import Ledger
from dni_allocator.store.locks import Lock

log = structlog.get_logger(__name__)

_STEPS_AT_ONCE = 50
"""Of one order in a row, before the others have their turn."""


class Buyer:
    """`every_round` is done with each round, while the lock is ours."""

    def __init__(
        self,
        *,
        lock: Lock,
        purchases: Ledger[Purchase],
        releases: Ledger[Release],
        purchasing: Purchasing,
        releasing: Releasing,
        every_round: Callable[[], Awaitable[None]] | None = None,
        now: Now = wall_clock,
        interval_s: float = 2.0,
        keep_every_s: float = 2.0,
    ) -> None:
        self._lock = lock
        self._purchases = purchases
        self._releases = releases
        self._purchasing = purchasing
        self._releasing = releasing
        self._every_round = every_round
        self._now = now
        self._interval_s = interval_s
        self._keep_every_s = keep_every_s
        self._working = False
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """There is something new: do not wait for the next round."""
        self._nudged.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until `stop` is set. A store that is away is waited for."""
        available = True
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    await self.once()
                    available = True
                except StoreUnavailable as error:
                    if available:
                        log.warning("buyer.store_unavailable", detail=error.detail)
                    available = False
                nudged = asyncio.create_task(self._nudged.wait())
                await asyncio.wait(
                    {stopping, nudged},
                    timeout=self._interval_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                nudged.cancel()
                self._nudged.clear()
        finally:
            keeping.cancel()
            stopping.cancel()
            if available:
                with suppress(StoreUnavailable):
                    await self._lock.give_back()

    async def once(self) -> bool:
        """One round; False when another process has the lock."""
        if not await self._lock.mine():
            return False
        self._working = True
        try:
            for purchase_id in await self._purchases.due(self._now()):
                await self._go_on(self._purchasing.step, purchase_id)
            for release_id in await self._releases.due(self._now()):
                await self._go_on(self._releasing.step, release_id)
            if self._every_round is not None:
                await self._every_round()
        finally:
            self._working = False
        return True

    async def _keep(self) -> None:
        """Keep the lock while a vendor takes its time."""
        while True:
            await asyncio.sleep(self._keep_every_s)
            if self._working:
                with suppress(StoreUnavailable):
                    await self._lock.mine()

    async def _go_on(self, step: Callable[[str], Awaitable[bool]], record_id: str) -> None:
        """Steps of one record as long as there is more to do at once."""
        try:
            for _ in range(_STEPS_AT_ONCE):
                if not await self._lock.mine() or not await step(record_id):
                    return
        except StoreUnavailable:
            raise
        except Exception:
            # Whatever is wrong with one record must not hold up the others.
            log.exception("buyer.step_failed", record=record_id)
