"""The audit log in Redis: one bounded stream."""

from collections.abc import Callable

import orjson

from dni_allocator.domain.audit import AuditEntry
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.keys import AUDIT
from dni_allocator.store.replies import mapping, text
from dni_allocator.store.scripts import Execute, load
from dni_allocator.store.shards import redis_time

_ADD = load("audit_add")

MOST_ENTRIES = 100_000
"""About 30 MB; whoever changes more in the time it is kept ships the log elsewhere."""


class AuditStore:
    """Entries of the log. Raises `StoreUnavailable`."""

    def __init__(
        self, execute: Execute, *, keep_ms: int, clock: Callable[[], str] = redis_time
    ) -> None:
        self._execute = execute
        self._keep_ms = keep_ms
        self._clock = clock

    async def add(self, entry: AuditEntry, *, token: str) -> None:
        """Write one entry; `token` is the request's own, so that a second run writes none."""
        await _ADD.run(
            self._execute,
            {
                "audit": AUDIT,
                "given_now": self._clock(),
                "token": token,
                "keep": self._keep_ms,
                "most": MOST_ENTRIES,
                "key_id": entry.key_id,
                "action": entry.action,
                "about": orjson.dumps(dict(entry.about)),
                "changed": " ".join(entry.changed),
                "status": entry.status,
            },
        )

    async def before(self, place: str | None, *, limit: int) -> list[AuditEntry]:
        """Entries before this place, newest first; None: the newest there are."""
        start = "+" if place is None else f"({place}"
        reply = await self._execute("XREVRANGE", AUDIT, start, "-", "COUNT", limit)
        if not isinstance(reply, list):
            message = "The store answered a range with something else."
            raise StoreUnavailable(message)
        return [_read(text(entry[0]), mapping(entry[1])) for entry in reply]


def _read(place: str, fields: dict[str, str]) -> AuditEntry:
    return AuditEntry(
        id=place,
        at_ms=int(fields["w"]),
        key_id=fields["k"],
        action=fields["a"],
        about=orjson.loads(fields["o"]),
        changed=tuple(fields["c"].split()),
        status=int(fields["s"]),
    )
