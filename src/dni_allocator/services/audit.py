"""Note who changed what, and look it up."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dni_allocator.domain.audit import AuditEntry
from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import DniError
from dni_allocator.services.access import instant_ms
from dni_allocator.services.paging import Page, not_ours, packed, unpacked
from dni_allocator.store.audit import AuditStore

log = structlog.get_logger(__name__)

_AT_ONCE = 500
_MOST_LOOKED_AT = 5_000
"""A filter that matches little stops here and says where to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What of the log is wanted; None: all. `action` is the beginning of one."""

    key_id: str | None = None
    action: str | None = None
    about: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry is wanted."""
        return (
            (self.key_id is None or entry.key_id == self.key_id)
            and (self.action is None or entry.action.startswith(self.action))
            and (self.about is None or self.about in entry.about.values())
            and (self.since_ms is None or entry.at_ms >= self.since_ms)
            and (self.until_ms is None or entry.at_ms < self.until_ms)
        )


class AuditLog:
    """Changes of the administration, for `keep_days`."""

    def __init__(
        self, store: AuditStore, *, keep_days: int, clock: Callable[[], str] = str
    ) -> None:
        self._store = store
        self._keep_ms = keep_days * 86_400_000
        self._clock = clock

    async def record(self, entry: AuditEntry) -> None:
        """Note a change that was made. The change stands, so a failure goes to the process' log.

        The line has all that the entry has, at the level of an error: nothing is lost unseen.
        """
        try:
            await self._store.add(entry, token=secrets.token_hex(8))
        except DniError as error:
            log.error(  # noqa: TRY400 - what failed is in `detail`; a stack tells nothing more
                "audit.not_written",
                key_id=entry.key_id,
                action=entry.action,
                about=dict(entry.about),
                changed=list(entry.changed),
                status=entry.status,
                detail=error.detail,
            )

    async def page(
        self, wanted: AuditFilter, *, cursor: str | None, limit: int
    ) -> Page[AuditEntry]:
        """Entries, newest first. Raises `InvalidRequest` for a cursor that is not ours."""
        place = None if cursor is None else _place(cursor)
        oldest_ms = instant_ms(self._clock) - self._keep_ms
        found: list[AuditEntry] = []
        for _ in range(_MOST_LOOKED_AT // _AT_ONCE):
            entries = await self._store.before(place, limit=_AT_ONCE)
            for entry in entries:
                if entry.at_ms <= oldest_ms:
                    return Page(tuple(found), None)
                if wanted.takes(entry):
                    found.append(entry)
                    if len(found) == limit:
                        return Page(tuple(found), _cursor(entry.id))
            if len(entries) < _AT_ONCE:
                return Page(tuple(found), None)
            place = entries[-1].id
        return Page(tuple(found), None if place is None else _cursor(place))


def _cursor(place: str) -> str:
    ms, _, sequence = place.partition("-")
    return packed(int(ms), sequence)


def _place(cursor: str) -> str:
    ms, sequence = unpacked(cursor)
    if whole(sequence) is None:
        raise not_ours()
    return f"{ms}-{sequence}"
