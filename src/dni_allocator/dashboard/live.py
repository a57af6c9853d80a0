"""Pages that stay true while somebody looks: their changing part, sent by server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from fastapi.sse import ServerSentEvent

from dni_allocator.dashboard.access import Person
from dni_allocator.domain.errors import DniError, StoreUnavailable

EVERY_S: Final = 1.0
_LONGEST_SILENCE: Final = 15
"""Rounds without news after which a comment is sent, so that no proxy closes the line."""


async def changes(
    person: Person, draw: Callable[[], Awaitable[str]]
) -> AsyncIterator[ServerSentEvent]:
    """Draw again and again; send what differs from what was sent last.

    Ends when the process is about to stop: the browser comes back by itself, to another one. Ends
    too when what is drawn is gone. A store that is away is waited for.
    """
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
            yield ServerSentEvent(raw_data=drawn, event="part", retry=2000)
            shown, silent = drawn, 0
        elif silent >= _LONGEST_SILENCE:
            yield ServerSentEvent(comment="still here")
            silent = 0
        silent += 1
        await asyncio.sleep(EVERY_S)
