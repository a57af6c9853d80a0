"""Work that is done round after round, until somebody says stop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from dni_allocator.domain.errors import StoreUnavailable

log = structlog.get_logger(__name__)


async def rounds(
    work: Callable[[], Awaitable[object]], stop: asyncio.Event, *, every_s: float, name: str
) -> None:
    """Do the work, rest so long, and again. A store that is away is waited for, and said once.

    `name`: who that is, in the log.
    """
    away = False
    while not stop.is_set():
        try:
            await work()
            away = False
        except StoreUnavailable as error:
            if not away:
                log.warning("rounds.store_unavailable", of=name, detail=error.detail)
            away = True
        await pause(stop, every_s)


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Rest so long, or until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
