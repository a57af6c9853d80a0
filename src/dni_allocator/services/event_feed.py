"""Events for those who fetch them: pages behind a cursor, over all shards.

A cursor says, for each shard, the last entry its holder has seen. Who asks is not waited for:
trimming looks at webhook endpoints only, so a cursor that stays away too long is refused.
"""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dni_allocator.domain.delivery import Entry
from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import CursorExpired
from dni_allocator.domain.events import Event
from dni_allocator.services.paging import not_ours
from dni_allocator.store.event_log import EventLog

_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, and where to go on; `has_more`: at once."""

    events: tuple[Event, ...]
    cursor: str
    has_more: bool


class EventFeed:
    """What happened, for pull consumers. Raises `StoreUnavailable` throughout."""

    def __init__(self, logs: Sequence[EventLog]) -> None:
        self._logs = logs

    async def start(self, at: Literal["now", "oldest"]) -> str:
        """A cursor behind everything (`now`), or before all that is still kept (`oldest`)."""
        if at == "now":
            return _packed([await log.newest_id() for log in self._logs])
        return _packed([await log.trimmed_to() for log in self._logs])

    async def page(
        self,
        cursor: str,
        *,
        limit: int = 100,
        types: Sequence[str] = (),
        pools: Sequence[str] = (),
        wait_s: float = 0.0,
    ) -> Page:
        """Up to `limit` events behind `cursor`, those of one number in their order.

        Without any, waits up to `wait_s` seconds for one. Of a call the events are ordered by the
        time they were written, as far as one page tells. The same cursor gives the same events.

        Raises:
            InvalidRequest: The cursor is none of ours, or of other data.
            CursorExpired: What came next was trimmed; `extra` has the oldest cursor there is.
        """
        until = time.monotonic() + wait_s
        while True:
            page = await self._page(cursor, limit=limit, types=types, pools=pools)
            if page.events or time.monotonic() >= until:
                return page
            cursor = page.cursor
            await asyncio.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))

    async def _page(
        self, cursor: str, *, limit: int, types: Sequence[str], pools: Sequence[str]
    ) -> Page:
        positions = _unpacked(cursor, shards=len(self._logs))
        read: list[list[Entry]] = []
        for log, position in zip(self._logs, positions, strict=True):
            if _pair(position) < _pair(await log.trimmed_to()):
                oldest = await self.start("oldest")
                raise CursorExpired(
                    "What came behind this cursor is not kept any more.",
                    extra={"oldest_cursor": oldest},
                )
            read.append(await log.entries(after=position, limit=limit))
        # The oldest first, over all shards; what does not fit stays behind the cursor.
        merged = sorted((entry for some in read for entry in some), key=lambda e: _pair(e.id))
        chosen = merged[:limit]
        for entry in chosen:
            positions[entry.shard] = entry.id
        wanted = tuple(
            entry.event
            for entry in chosen
            if (not types or entry.fields.get("t", "") in types)
            and (not pools or entry.fields.get("p", "") in pools)
        )
        return Page(wanted, _packed(positions), has_more=len(merged) >= limit)


def _pair(entry_id: str) -> tuple[int, int]:
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence)


def _packed(positions: Sequence[str]) -> str:
    text = json.dumps(list(positions), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpacked(cursor: str, *, shards: int) -> list[str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        positions = json.loads(text)
        if isinstance(positions, list) and len(positions) == shards:
            parts = [str(position).partition("-") for position in positions]
            if all(None not in {whole(ms), whole(sequence)} for ms, _, sequence in parts):
                return [str(position) for position in positions]
    except (binascii.Error, ValueError, UnicodeError, RecursionError):
        pass
    raise not_ours()
