"""Forget visitors: what `visitor.erased` asks of a receiver.

Rows stay, as facts to count and so that an event which comes again is known; whatever names or
describes the visitor leaves them. Events arrive in no certain order over all shards, so it is
remembered who was erased until when, by a hash: what comes later and happened before is blanked
too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Column, Connection, String, Table, insert, or_, select
from sqlalchemy.exc import IntegrityError

from dni_allocator.sink.projections import CALLS, CONVERSIONS
from dni_allocator.sink.tables import EVENTS, METADATA, Moment, Received

ERASED: Final = Table(
    "erased",
    METADATA,
    Column("visitor_hash", String(64), primary_key=True),
    Column("until", Moment, nullable=False),
)

_BLANK: Final[Mapping[Table, Mapping[str, object]]] = {
    EVENTS: {"visitor_id": None, "url": None, "referrer": None, "fields": {}, "payload": {}},
    CALLS: {"visitor_id": None, "caller": None, "url": None, "referrer": None, "fields": {}},
    CONVERSIONS: {"visitor_id": None, "fields": {}},
}
_WHEN: Final = {
    EVENTS: EVENTS.c.occurred_at,
    CALLS: CALLS.c.updated_at,
    CONVERSIONS: CONVERSIONS.c.updated_at,
}


def erase(connection: Connection, events: Sequence[Received]) -> None:
    """Blank what these events, or earlier ones, ask to forget. No commit."""
    named: dict[str, str] = {}
    for event in events:
        visitor_id = event.data.get("visitor_id")
        if isinstance(visitor_id, str) and visitor_id:
            named[_hash(visitor_id)] = visitor_id
            if event.type == "visitor.erased":
                _remember(connection, _hash(visitor_id), event.occurred_at or event.received_at)
    if not named:
        return
    known = connection.execute(
        select(ERASED.c.visitor_hash, ERASED.c.until).where(ERASED.c.visitor_hash.in_(named))
    ).all()
    for visitor_hash, until in known:
        for table, blank in _BLANK.items():
            connection.execute(
                table.update()
                .where(
                    table.c.visitor_id == named[visitor_hash][:255],
                    or_(_WHEN[table] <= until, _WHEN[table].is_(None)),
                )
                .values(**blank)
            )


def _remember(connection: Connection, visitor_hash: str, until: datetime) -> None:
    row = ERASED.c.visitor_hash == visitor_hash
    known = connection.scalar(select(ERASED.c.until).where(row))
    if known is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(ERASED), {"visitor_hash": visitor_hash, "until": until})
        except IntegrityError:  # another sink was quicker
            _remember(connection, visitor_hash, until)
    elif known < until:
        connection.execute(ERASED.update().where(row).values(until=until))


def _hash(visitor_id: str) -> str:
    return hashlib.sha256(visitor_id.encode()).hexdigest()
