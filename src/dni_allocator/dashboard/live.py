"""Pages that stay true while somebody looks: their changing part, sent by server-sent events.

Each page is drawn once a second for as long as it is open, by the process that serves visitors too.
So only some are; who comes when all places are taken sees the page change less often.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from fastapi.sse import ServerSentEvent

from dni_allocator.dashboard.access import Person
from dni_allocator.domain.errors import DniError, StoreUnavailable

EVERY_S: Final = 1.0
MOST_AT_ONCE: Final = 50
"""Pages of one process that are drawn every second."""

_AGAIN_MS: Final = 2_000
_AGAIN_WHEN_CROWDED_MS: Final = 30_000
_LONGEST_SILENCE: Final = 15
"""Rounds without news after which a comment is sent, so that no proxy closes the line."""


class Places:
    """So many places, of which some are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self) -> bool:
        """Take one; False: there is none. Who has taken one gives it back."""
        if self.taken >= self._most:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        """Make room for another."""
        self.taken -= 1


PLACES: Final = Places(MOST_AT_ONCE)
"""Of this process, whoever looks."""


async def changes(
    person: Person, draw: Callable[[], Awaitable[str]], places: Places = PLACES
) -> AsyncIterator[ServerSentEvent]:
    """Draw again and again; send what differs from what was sent last.

    Ends when the process is about to stop: the browser comes back by itself, to another one. Ends
    too when what is drawn is gone. A store that is away is waited for. With all places taken it is
    drawn once; the browser comes back after half a minute.
    """
    if not places.take():
        with suppress(DniError):
            yield ServerSentEvent(raw_data=await draw(), event="part", retry=_AGAIN_WHEN_CROWDED_MS)
        return
    try:
        async for news in _news(person, draw):
            yield news
    finally:
        places.give_back()


async def _news(
    person: Person, draw: Callable[[], Awaitable[str]]
) -> AsyncIterator[ServerSentEvent]:
    # Not "": a list without pools is drawn as nothing, and is news at first all the same.
    shown: str | None = None
    silent = 0
    while not person.services.health.draining:
        try:
            drawn: str | None = await draw()
        except StoreUnavailable:
            drawn = shown
        except DniError:
            return
        if drawn is not None and drawn != shown:
            yield ServerSentEvent(raw_data=drawn, event="part", retry=_AGAIN_MS)
            shown, silent = drawn, 0
        elif silent >= _LONGEST_SILENCE:
            yield ServerSentEvent(comment="still here")
            silent = 0
        silent += 1
        await asyncio.sleep(EVERY_S)
