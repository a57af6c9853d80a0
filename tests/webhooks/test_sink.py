"""The reference downstream store: signatures, and one row for each event, on real databases."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, bindparam, create_engine, func, select, text
from standardwebhooks import Webhook

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.events import from_entry
from dni_allocator.sink.app import create_app
from dni_allocator.sink.tables import EVENTS
from dni_allocator.webhooks.signing import new_secret, sign
from tests.support.delivery import SECRET, assigned
from tests.support.postgresql import running_postgresql

OTHER = new_secret(b"another secret of thirty-two byte")


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server for this module."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sink.db'}"
    url = str(request.getfixturevalue("postgresql_url"))
    engine = create_engine(url)
    EVENTS.drop(engine, checkfirst=True)
    engine.dispose()
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what does not hang on the kind of database."""
    return f"sqlite:///{tmp_path / 'sink.db'}"


@asynccontextmanager
async def sink(url: str, *, read_token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A running sink and a client of it."""
    app = create_app(database_url=url, secrets=[SECRET, OTHER], read_token=read_token)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sink") as client,
    ):
        yield client


def signed(body: bytes, *, event_id: str, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    """The headers of a delivery."""
    timestamp_s = int(time.time()) - age_s
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(
            [secret], message_id=event_id, timestamp_s=timestamp_s, body=body
        ),
    }


def event(place: int) -> tuple[str, bytes]:
    """An event's id and body."""
    made = from_entry(0, f"1795344299544-{place}", assigned(f"+1415555{place:04}"))
    return made.id, json.dumps(made.payload()).encode()


def count(url: str) -> tuple[int, int]:
    """Rows and deliveries, asked of the database itself."""
    engine: Engine = create_engine(url)
    with engine.connect() as connection:
        rows, deliveries = connection.execute(
            select(func.count(), func.coalesce(func.sum(EVENTS.c.deliveries), 0))
        ).one()
    engine.dispose()
    return int(rows), int(deliveries)


async def test_an_event_that_comes_often_is_one_row(database_url: str) -> None:
    """At-least-once delivery, made exactly once by the event's id; each answer after the commit."""
    async with sink(database_url) as client:
        deliveries = [event(place % 40) for place in range(200)]
        answers = await asyncio.gather(
            *(
                client.post("/", content=body, headers=signed(body, event_id=event_id))
                for event_id, body in deliveries
            )
        )
        counted = await asyncio.to_thread(count, database_url)

    assert {answer.status_code for answer in answers} == {204}
    assert counted == (40, 200)


async def test_what_came_survives_a_restart_and_can_be_queried(database_url: str) -> None:
    """The columns an analyst needs, and the payload as it came."""
    event_id, body = event(7)
    async with sink(database_url) as client:
        await client.post("/events", content=body, headers=signed(body, event_id=event_id))

    async with sink(database_url) as client:
        await client.post("/events", content=body, headers=signed(body, event_id=event_id))
        [row] = (await client.get("/events")).json()["events"]

    assert row.pop("received_at") > "2026"
    assert row.pop("payload") == json.loads(body)
    assert row == {
        "id": event_id,
        "type": "number.assigned",
        "occurred_at": "2026-11-22T10:44:59.544000+00:00",
        "pool_id": "pool_a",
        "number": "+14155550007",
        "visitor_id": "visitor-1",
        "destination": "+18005550100",
        "lease_id": "lse_a_1",
        "reason": "new",
        "url": "https://shop.example/",
        "referrer": None,
        "fields": {"utm_source": "mail"},
        "deliveries": 2,
    }


async def test_events_are_shown_newest_first_page_by_page(database_url: str) -> None:
    """Each page begins where the one before ended."""
    sent = []
    async with sink(database_url) as client:
        for place in range(5):
            event_id, body = event(place)
            sent.append(event_id)
            await client.post("/", content=body, headers=signed(body, event_id=event_id))

        seen: list[str] = []
        while page := (
            await client.get("/events", params={"limit": 2} | ({"after": seen[-1]} if seen else {}))
        ).json()["events"]:
            seen += [row["id"] for row in page]

    assert seen == sent[::-1]


async def test_the_library_of_the_standard_is_understood(sqlite_url: str) -> None:
    """A sender that is not ours."""
    from datetime import UTC, datetime  # noqa: PLC0415 -- the library wants a datetime, nobody else

    now = datetime.now(UTC)
    body = b'{"type":"something.else"}'
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(OTHER).sign("msg_1", now, body.decode()),
    }

    async with sink(sqlite_url) as client:
        answer = await client.post("/", content=body, headers=headers)
        [row] = (await client.get("/events")).json()["events"]

    assert answer.status_code == 204
    assert (row["id"], row["type"], row["occurred_at"]) == ("msg_1", "something.else", None)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("unsigned", 401, "signature-mismatch"),
        ("forged", 401, "signature-mismatch"),
        ("altered", 401, "signature-mismatch"),
        ("stale", 400, "stale-timestamp"),
        ("no JSON", 422, "not-an-event"),
        ("no event", 422, "not-an-event"),
        ("too large", 413, "body-too-large"),
    ],
)
async def test_what_is_not_a_delivery_is_refused_and_not_stored(
    kind: str, status: int, code: str, sqlite_url: str
) -> None:
    """The signature is looked at first: a stranger learns nothing about what would be accepted."""
    event_id, body = event(1)
    body = {"no JSON": b"{", "no event": b"[]", "too large": b"x" * 4_194_305}.get(kind, body)
    headers = signed(
        body,
        event_id=event_id,
        secret=new_secret(bytes(32)) if kind == "forged" else SECRET,
        age_s=301 if kind == "stale" else 0,
    )
    if kind == "unsigned":
        del headers["webhook-signature"]
    if kind == "altered":
        body += b" "

    async with sink(sqlite_url) as client:
        answer = await client.post("/", content=body, headers=headers)
        stored = await asyncio.to_thread(count, sqlite_url)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert stored == (0, 0)


async def test_a_database_that_refuses_is_answered_503(sqlite_url: str) -> None:
    """So the sender keeps the event; nothing of it is in the answer."""
    event_id, body = event(1)
    async with sink(sqlite_url) as client:
        engine = create_engine(sqlite_url)
        EVENTS.drop(engine)
        refused = await client.post("/", content=body, headers=signed(body, event_id=event_id))
        EVENTS.create(engine)
        engine.dispose()
        taken = await client.post("/", content=body, headers=signed(body, event_id=event_id))

    assert (refused.status_code, taken.status_code) == (503, 204)
    assert refused.json()["code"] == "not-stored"
    assert "+1415" not in refused.text


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=501", 422), ("limit=x", 422), ("after=evt_unknown", 404)],
)
async def test_a_list_that_cannot_be_is_a_problem(query: str, status: int, sqlite_url: str) -> None:
    """Named, not guessed around."""
    async with sink(sqlite_url) as client:
        assert (await client.get(f"/events?{query}")).status_code == status


async def test_reading_can_want_a_token(sqlite_url: str) -> None:
    """Events name visitors; delivering needs the signature and no token."""
    async with sink(sqlite_url, read_token="open sesame") as client:
        statuses = [
            (await client.get("/events", headers={"authorization": value})).status_code
            for value in ("", "Bearer no", "Bearer open sesame")
        ]
        alive = await client.get("/livez")

    assert statuses == [401, 401, 200]
    assert alive.status_code == 200


@pytest.mark.parametrize("secrets", [[], ["whsec_short"], [SECRET, "plain"]])
def test_a_sink_without_a_good_secret_does_not_start(secrets: list[str], sqlite_url: str) -> None:
    """Otherwise it would refuse everything, or accept anything."""
    with pytest.raises(InvalidRequest):
        create_app(database_url=sqlite_url, secrets=secrets)


NUMBER = "+14155550100"
BEGAN_MS = 1_795_344_000_000


def told(
    visitor: str, fence: int, at_s: int, number: str = NUMBER, **more: str
) -> tuple[str, bytes]:
    """One event of a lease, so many seconds after the first one."""
    at_ms = BEGAN_MS + at_s * 1000
    fields = assigned(number, fence=fence, at_ms=at_ms) | {"v": visitor} | more
    made = from_entry(0, f"{at_ms}-{fence}", fields)
    return made.id, json.dumps(made.payload()).encode()


def holders(url: str, at_s: int) -> list[tuple[str, bool]]:
    """Whose the number was before that instant, and whether an end is known: as the page says."""
    page = (Path(__file__).parents[2] / "docs" / "sink.md").read_text("utf-8")
    query = page.partition("## Whose number it was")[2].partition("```sql")[2].partition("```")[0]
    asked = text(query).bindparams(bindparam("at", type_=EVENTS.c.occurred_at.type))
    at = datetime.fromtimestamp(BEGAN_MS / 1000 + at_s, tz=UTC)
    engine: Engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(asked, {"number": NUMBER, "at": at}).all()
    engine.dispose()
    return [(row.visitor_id, row.ended_at is not None) for row in rows]


async def test_the_journal_tells_whose_number_it_was(database_url: str) -> None:
    """Also of a lease that a failover forgot, whose id was given to somebody else afterwards."""
    ended = {"t": "lease.ended", "r": "idle"}
    async with sink(database_url) as client:
        for event_id, body in (
            told("ann", 5, 0),
            told("bob", 5, 60, "+14155550101"),
            told("bob", 5, 90, "+14155550101", **ended, s=str(BEGAN_MS + 60_000)),
            told("cyd", 6, 120),
            told("cyd", 6, 150, **ended, s=str(BEGAN_MS + 120_000)),
        ):
            answer = await client.post("/", content=body, headers=signed(body, event_id=event_id))
            assert answer.status_code == 204

        assert await asyncio.to_thread(holders, database_url, -1) == []
        assert await asyncio.to_thread(holders, database_url, 100) == [("ann", False)]
        assert await asyncio.to_thread(holders, database_url, 130) == [
            ("cyd", True), ("ann", False),
        ]  # fmt: skip
