"""Batches at the sink, and what becomes of calls and conversions; on SQLite and PostgreSQL."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, Table, create_engine, select

from dni_allocator.domain.attribution import Basis
from dni_allocator.domain.call import (
    STARTED,
    Call,
    CallStatus,
    CallUpdate,
    Rule,
    changed,
    entry,
)
from dni_allocator.domain.events import from_entry
from dni_allocator.sink.app import create_app
from dni_allocator.sink.projections import CALLS, CONVERSIONS
from dni_allocator.sink.tables import EVENTS, METADATA
from dni_allocator.webhooks.signing import new_private_key, public_key_of, sign
from tests.support.postgresql import running_postgresql

PRIVATE = new_private_key(b"a key for the tables of the sink")
DOCUMENT = Path(__file__).parents[2] / "docs" / "sink.md"


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server for this module."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database, once of each kind."""
    url = f"sqlite:///{tmp_path / 'sink.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_url"))
    made = create_engine(url)
    METADATA.drop_all(made)
    yield made
    made.dispose()


def happening(event_type: str, *, at_s: int, **data: object) -> dict[str, object]:
    """An event of the future, as the design words it."""
    moment = datetime.fromtimestamp(1_795_344_000 + at_s, UTC)
    data = {"event_id": f"evt_s0_{at_s}-0", **data}
    return {"type": event_type, "timestamp": moment.isoformat(), "data": data}


async def send(
    engine: Engine, *batches: list[dict[str, object]], ndjson: bool = False
) -> list[int]:
    """Deliver batches, signed; the statuses."""
    url = engine.url.render_as_string(hide_password=False)
    app = create_app(database_url=url, secrets=[public_key_of(PRIVATE) or ""])
    transport = httpx.ASGITransport(app=app)
    statuses = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sink") as client,
    ):
        for at, events in enumerate(batches):
            lines = [json.dumps(one) for one in events]
            text = "\n".join(lines) if ndjson else "[" + ",".join(lines) + "]"
            now_s, name = int(time.time()), f"bat_s0_{at}"
            signature = sign([PRIVATE], message_id=name, timestamp_s=now_s, body=text.encode())
            kind = "application/x-ndjson" if ndjson else "application/json"
            answer = await client.post(
                "/events",
                content=text,
                headers={"webhook-id": name, "webhook-timestamp": str(now_s),
                         "webhook-signature": signature, "content-type": kind},
            )  # fmt: skip
            statuses.append(answer.status_code)
    return statuses


def rows(engine: Engine, table: Table) -> list[dict[str, Any]]:
    """All rows of a table."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


@pytest.mark.parametrize("ndjson", [False, True])
async def test_each_event_of_a_batch_is_a_row(engine: Engine, *, ndjson: bool) -> None:
    """By its own id: the same events in another cut are counted, not doubled."""
    events = [happening("lease.ended", at_s=at, number="+14155550101") for at in range(5)]

    statuses = await send(engine, events, events[:2], ndjson=ndjson)

    counted = {row["id"]: row["deliveries"] for row in rows(engine, EVENTS)}
    assert statuses == [204, 204]
    assert sorted(counted.values()) == [1, 1, 1, 2, 2]
    assert set(counted) == {f"evt_s0_{at}-0" for at in range(5)}


async def test_a_call_is_one_row_brought_up_to_date(engine: Engine) -> None:
    """Late and repeated events take nothing back."""
    started = happening("call.started", at_s=1, call_id="call_1", number="+14155550101",
                        status="ringing", started_at="2026-11-22T10:40:01Z")  # fmt: skip
    ended = happening("call.ended", at_s=60, call_id="call_1", status="completed", duration_s=59,
                      value="12.50", currency="USD", fields={"utm_source": "mail"})  # fmt: skip

    await send(engine, [ended], [started, started])

    [call] = rows(engine, CALLS)
    assert (call["status"], call["duration_s"], call["number"]) == ("completed", 59, "+14155550101")
    assert call["value"] == Decimal("12.50")
    assert call["started_at"] == datetime(2026, 11, 22, 10, 40, 1, tzinfo=UTC)
    assert call["fields"] == {"utm_source": "mail"}


async def test_the_course_of_a_call_as_we_send_it(engine: Engine) -> None:
    """Our own events of one call, in any order, leave the row that says what became of it."""
    rings = Call(
        id="call_a_0123456789abcdef", pool_id="pool_a", number="+16025550100",
        caller="+14155550177", provider="twilio", provider_call_id="CA1",
        route_to="+16023133897", started_ms=1_795_344_000_000, basis=Basis.LIVE, confidence=1.0,
        visitor_id="ann", lease_id="lse_a_7", fields={"gclid": "1"}, source="google",
        source_name="google", medium="paid", first_time_caller=True,
        updated_ms=1_795_344_000_000,
    )  # fmt: skip
    over, kinds = changed(
        rings,
        CallUpdate(status=CallStatus.COMPLETED, duration_s=90, value=Decimal("12.5"),
                   currency="USD", ended_ms=1_795_344_000_001),
        rule=Rule(),
        now_ms=1_795_344_095_000,
    )  # fmt: skip
    sent = [
        from_entry(0, f"{at}-0", entry(kind, call)).payload()
        for at, (kind, call) in enumerate([(STARTED, rings), *((kind, over) for kind in kinds)])
    ]

    await send(engine, list(reversed(sent)))

    [row] = rows(engine, CALLS)
    assert (row["status"], row["duration_s"], row["qualified"]) == ("completed", 90, True)
    assert (row["provider_call_id"], row["first_time_caller"]) == ("CA1", True)
    assert (row["source"], row["lease_id"], row["value"]) == ("google", "lse_a_7", Decimal("12.5"))
    assert row["started_at"] == datetime.fromtimestamp(1_795_344_000, UTC)


async def test_a_conversion_is_one_row(engine: Engine) -> None:
    """What cannot be a value of its column is left out; the event keeps it."""
    sent = happening("conversion.reported", at_s=3, conversion_id="cnv_1", call_id="call_1",
                     name="sale", target="ga4", value="not a number")  # fmt: skip

    await send(engine, [sent])

    [conversion] = rows(engine, CONVERSIONS)
    assert (conversion["call_id"], conversion["target"]) == ("call_1", "ga4")
    assert conversion["value"] is None


async def test_the_documented_queries_run(postgresql_url: str) -> None:
    """An analyst can paste them."""
    made = create_engine(postgresql_url)
    METADATA.drop_all(made)
    told = {"call_id": "c", "source": "google", "value": 2.5, "qualified": True, "confidence": 1}
    await send(
        made,
        [
            happening("number.assigned", at_s=5, fields={"utm_source": "mail"}),
            happening("call.qualified", at_s=6, **told),
        ],
    )
    section = DOCUMENT.read_text("utf-8").split("\n## Questions one can ask\n")[1].split("\n## ")[0]
    leases, calls = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)

    with made.connect() as connection:
        ended = connection.exec_driver_sql(leases.replace("%", "%%")).all()
        [worth] = connection.exec_driver_sql(calls.replace("%", "%%")).all()
    made.dispose()

    assert ("mail", 1, 0) in [tuple(row)[1:] for row in ended]
    assert tuple(worth) == ("google", None, 1, 1, Decimal("2.5000"), Decimal("1.00"))


@pytest.mark.parametrize("table", [EVENTS, CALLS, CONVERSIONS], ids=lambda table: str(table.name))
def test_every_column_is_documented(table: Table) -> None:
    """Whoever queries the tables finds each column explained."""
    section = DOCUMENT.read_text("utf-8").split(f"### `{table.name}`")[1].split("\n#")[0]

    assert [column.name for column in table.columns if f"`{column.name}`" not in section] == []
