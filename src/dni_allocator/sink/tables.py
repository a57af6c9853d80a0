"""What the reference downstream store keeps: one row for each event, whatever the database.

Owns the schema and the writing. `deliveries` counts how often an event came: at-least-once
delivery made visible. Knows no HTTP and no signatures.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    and_,
    bindparam,
    create_engine,
    event,
    insert,
    make_url,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool


class Moment(TypeDecorator[datetime]):
    """An instant, always read back in UTC; SQLite would lose the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database, in UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database; what has no zone was written in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA: Final = MetaData()

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("id", String(255), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("occurred_at", Moment, index=True),
    Column("received_at", Moment, nullable=False, index=True),
    Column("pool_id", String(255)),
    Column("number", String(32), index=True),
    Column("visitor_id", String(255)),
    Column("destination", String(32)),
    Column("lease_id", String(255)),
    Column("reason", String(255)),
    Column("url", String(4096)),
    Column("referrer", String(4096)),
    Column("fields", JSON, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("deliveries", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Received:
    """One event as it came, for one row. Texts are None where the event has no such thing."""

    id: str
    type: str
    occurred_at: datetime | None
    received_at: datetime
    payload: Mapping[str, object]
    data: Mapping[str, object] = field(default_factory=dict)

    def row(self) -> dict[str, object]:
        """The columns, `deliveries` apart."""
        fields = self.data.get("fields")
        return {
            "id": self.id,
            "type": self.type,
            "occurred_at": self.occurred_at,
            "received_at": self.received_at,
            **{name: _text(self.data.get(name)) for name in _TEXTS},
            **{name: _text(self.data.get(name), most=4096) for name in ("url", "referrer")},
            "fields": fields if isinstance(fields, dict) else {},
            "payload": dict(self.payload),
        }


_TEXTS: Final = ("pool_id", "number", "visitor_id", "destination", "lease_id", "reason")


def _text(value: object, *, most: int = 255) -> str | None:
    return None if value is None else str(value)[:most]


def open_database(url: str) -> Engine:
    """Connect and make the tables that are missing. Blocks.

    SQLite runs in WAL mode, so readers do not wait for the writer, and syncs at every commit: an
    answer 204 means that the event is on disk. Any SQLAlchemy URL works; PostgreSQL needs the
    `postgresql` extra (`postgresql+psycopg://…`).

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached or the URL is wrong.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        in_memory = parsed.database in {None, "", ":memory:"}
        engine = (
            create_engine(url, connect_args={"check_same_thread": False}, poolclass=StaticPool)
            if in_memory
            else create_engine(url, connect_args={"timeout": 30})
        )
        event.listen(engine, "connect", _set_up_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True)
    METADATA.create_all(engine)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def write(connection: Connection, events: Sequence[Received]) -> None:
    """Insert events; of those that are known, count the delivery. No commit.

    An event that comes twice is stored once, with what came first.
    """
    counted: dict[str, tuple[Received, int]] = {}
    for one in events:
        first, deliveries = counted.get(one.id, (one, 0))
        counted[one.id] = (first, deliveries + 1)
    rows = [first.row() | {"deliveries": n} for first, n in counted.values()]
    dialect = connection.dialect.name
    if dialect == "postgresql":
        upsert = postgresql.insert(EVENTS)
        grown = {"deliveries": EVENTS.c.deliveries + upsert.excluded.deliveries}
        connection.execute(upsert.on_conflict_do_update(index_elements=["id"], set_=grown), rows)
    elif dialect == "sqlite":
        lite = sqlite.insert(EVENTS)
        grown = {"deliveries": EVENTS.c.deliveries + lite.excluded.deliveries}
        connection.execute(lite.on_conflict_do_update(index_elements=["id"], set_=grown), rows)
    else:
        for row in rows:
            _upsert_by_hand(connection, row)


def _upsert_by_hand(connection: Connection, row: Mapping[str, object]) -> None:
    """For databases whose upsert SQLAlchemy has no common words for."""
    more = (
        EVENTS.update()
        .where(EVENTS.c.id == bindparam("known_id"))
        .values(deliveries=EVENTS.c.deliveries + bindparam("more"))
    )
    counting = {"known_id": row["id"], "more": row["deliveries"]}
    if connection.execute(more, counting).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(EVENTS), row)
    except IntegrityError:
        connection.execute(more, counting)


def newest(
    connection: Connection, *, limit: int, after: str | None = None
) -> list[dict[str, object]] | None:
    """Rows by the time they came, newest first; `after`: those that follow this event's row.

    None: there is no event `after`.
    """
    rows = select(EVENTS).order_by(EVENTS.c.received_at.desc(), EVENTS.c.id.desc()).limit(limit)
    if after is not None:
        received_at = connection.scalar(select(EVENTS.c.received_at).where(EVENTS.c.id == after))
        if received_at is None:
            return None
        rows = rows.where(
            or_(
                EVENTS.c.received_at < received_at,
                and_(EVENTS.c.received_at == received_at, EVENTS.c.id < after),
            )
        )
    return [dict(row) for row in connection.execute(rows).mappings()]
