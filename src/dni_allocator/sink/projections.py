"""Calls and conversions as tables: one row each, brought up to date by the events about them.

An event `call.…` with a `call_id`, or `conversion.…` with a `conversion_id`, sets the columns its
`data` names. Events may come late and twice: a value is replaced only by one that happened at the
same time or later. Owns these two tables and how events become rows; knows no HTTP.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from dni_allocator.sink.tables import METADATA, Moment, Received

CALLS: Final = Table(
    "calls",
    METADATA,
    Column("call_id", String(255), primary_key=True),
    Column("updated_at", Moment, nullable=False, index=True),
    Column("provider", String(32)),
    Column("provider_call_id", String(255)),
    Column("status", String(64)),
    Column("started_at", Moment, index=True),
    Column("answered_at", Moment),
    Column("ended_at", Moment),
    Column("duration_s", Integer),
    Column("pool_id", String(255), index=True),
    Column("number", String(32), index=True),
    Column("caller", String(32)),
    Column("first_time_caller", Boolean),
    Column("destination", String(32)),
    Column("visitor_id", String(255), index=True),
    Column("lease_id", String(255)),
    Column("basis", String(64)),
    Column("confidence", Float),
    Column("source", String(64), index=True),
    Column("source_name", String(255)),
    Column("source_id", String(64)),
    Column("medium", String(64)),
    Column("outcome", String(255)),
    Column("value", Numeric(18, 4)),
    Column("currency", String(3)),
    Column("recording_url", Text),
    Column("qualified", Boolean),
    Column("url", Text),
    Column("referrer", Text),
    Column("fields", JSON),
)

CONVERSIONS: Final = Table(
    "conversions",
    METADATA,
    Column("conversion_id", String(255), primary_key=True),
    Column("updated_at", Moment, nullable=False, index=True),
    Column("call_id", String(255), index=True),
    Column("name", String(255)),
    Column("target", String(64)),
    Column("status", String(64)),
    Column("converted_at", Moment, index=True),
    Column("pool_id", String(255)),
    Column("visitor_id", String(255), index=True),
    Column("value", Numeric(18, 4)),
    Column("currency", String(3)),
    Column("fields", JSON),
)

_TABLES: Final[Mapping[str, tuple[Table, str]]] = {
    "call": (CALLS, "call_id"),
    "conversion": (CONVERSIONS, "conversion_id"),
}


def project(connection: Connection, events: Sequence[Received]) -> None:
    """Bring the tables up to date with these events, in their order. No commit."""
    for event in events:
        found = _TABLES.get(event.type.partition(".")[0])
        if found is None:
            continue
        table, key = found
        row_id = event.data.get(key)
        if isinstance(row_id, str) and row_id:
            _merge(connection, table, key, row_id[:255], event)


def _merge(connection: Connection, table: Table, key: str, row_id: str, event: Received) -> None:
    happened = event.occurred_at or event.received_at
    values = _values(table, key, event.data)
    where = table.c[key] == row_id
    known = connection.execute(select(table).where(where).with_for_update()).mappings().first()
    if known is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(table), {key: row_id, "updated_at": happened, **values})
        except IntegrityError:  # another sink was quicker
            _merge(connection, table, key, row_id, event)
        return
    if happened < known["updated_at"]:
        # It comes late: it may only fill what nothing newer has said.
        values = {name: value for name, value in values.items() if known[name] is None}
    else:
        values["updated_at"] = happened
    if values:
        connection.execute(table.update().where(where).values(**values))


def _values(table: Table, key: str, data: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for column in table.columns:
        if column.name in {key, "updated_at"} or data.get(column.name) is None:
            continue
        value = _as(column, data[column.name])
        if value is not None:
            values[column.name] = value
    return values


def _as(column: Column[object], value: object) -> object:
    """A value of an event as its column takes it; None: it cannot be one."""
    kind = column.type
    if isinstance(kind, JSON):
        return value
    if isinstance(kind, Boolean):
        return value if isinstance(value, bool) else None
    if isinstance(kind, Moment):
        return _moment(str(value))
    if isinstance(kind, String):
        return str(value)[: kind.length]
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if isinstance(kind, Integer) else number


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
