"""The scripts behind the log, replays, the cap and the end of an endpoint: each reply of each."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dni_allocator.domain.delivery import Entry, LoggedAttempt, Settlement
from dni_allocator.domain.errors import EndpointUnknown
from dni_allocator.domain.webhook import Endpoint, Health
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.keys import ShardKeys, shard_of
from dni_allocator.store.outbox import Outbox

ENDPOINT = Endpoint(id="whe_a", url="https://example.com/", secret="whsec_x", created_ms=5)
KEYS = ShardKeys(0)
ATTEMPT = LoggedAttempt(
    at_ms=1, message_id="evt_s0_1-0", event_id="evt_s0_1-0", events=1, attempt=1, verdict="taken",
    status=204, failure="", took_ms=3, request={"webhook-id": "evt_s0_1-0"}, response={},
    excerpt="",
)  # fmt: skip


class Clock:
    """The time of the scripts, driven by the test."""

    def __init__(self) -> None:
        self.ms = 1_000_000_000

    def __call__(self) -> str:
        """Now, as scripts take it."""
        return str(self.ms)


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """The store's own connection to an empty server."""
    async with Connection(redis_url) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def outbox(connection: Connection, clock: Clock) -> Outbox:
    """Shard 0."""
    return Outbox(connection.execute, shard=0, clock=clock)


@pytest.fixture
def log(connection: Connection, clock: Clock) -> EventLog:
    """Shard 0, looked back at."""
    return EventLog(connection.execute, shard=0, clock=clock)


@pytest.fixture
def endpoints(connection: Connection, clock: Clock) -> Endpoints:
    """Endpoints over two shards."""
    return Endpoints(connection.execute, shards=2, clock=clock)


async def add(connection: Connection, *entry_ids: str) -> None:
    """Write entries by id."""
    for entry_id in entry_ids:
        await connection.execute("XADD", KEYS.events, entry_id, "t", "number.assigned", "n", "+1")


async def test_the_log_keeps_taken_and_failed_attempts_apart(
    outbox: Outbox, log: EventLog, connection: Connection
) -> None:
    """A thousand successes wash no failure away, and all of it goes after its time."""
    failed = replace(ATTEMPT, verdict="failed", status=500, at_ms=0)
    await outbox.log("whe_a", [failed], keep=200, keep_for_ms=60_000)
    for start in range(0, 1000, 200):
        many = [replace(ATTEMPT, at_ms=start + at) for at in range(200)]
        await outbox.log("whe_a", many, keep=200, keep_for_ms=60_000)

    kept = await connection.execute("XLEN", KEYS.attempts("whe_a"))
    ttl = await connection.execute("PTTL", KEYS.failures("whe_a"))

    assert [one.at_ms for one in await log.attempts("whe_a", limit=2)] == [999, 998]
    assert await log.attempts("whe_a", failed_only=True) == [failed]
    assert isinstance(kept, int)
    assert 200 <= kept < 400
    assert isinstance(ttl, int)
    assert 0 < ttl <= 60_000


async def test_a_replayed_event_is_due_at_once_and_no_dead_letter_any_more(
    outbox: Outbox, log: EventLog, endpoints: Endpoints
) -> None:
    """From the first attempt on; a second run changes nothing."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    tried = Entry("1-0", 0, {"t": "number.assigned", "n": "+1"}, attempts=10)
    await outbox.settle("whe_a", token="t", settlements=[Settlement(tried, "dead", note="500")])

    counts = [await log.replay("whe_a", [tried]) for _ in range(2)]

    batch = await outbox.read("whe_a", token="t")
    assert counts == [1, 1]
    assert batch is not None
    assert [(one.id, one.attempts) for one in batch.due] == [("1-0", 0)]
    assert await log.dead_letters("whe_a") == []
    assert await log.waiting("whe_a") == (1, 0)


async def test_nothing_is_replayed_to_an_endpoint_that_is_gone(
    log: EventLog, endpoints: Endpoints, connection: Connection
) -> None:
    """Copies for nobody would stay for ever."""
    await endpoints.create(ENDPOINT)
    await endpoints.delete("whe_a")

    with pytest.raises(EndpointUnknown):
        await log.replay("whe_a", [Entry("1-0", 0, {"t": "x"})])

    assert await connection.execute("EXISTS", KEYS.parked("whe_a"), KEYS.retries("whe_a")) == 0


async def test_the_cap_drops_down_to_what_is_to_be_kept(
    outbox: Outbox, log: EventLog, endpoints: Endpoints, connection: Connection
) -> None:
    """It counts what the slowest active endpoint had not read; a second run drops nothing."""
    await endpoints.create(replace(ENDPOINT, start="oldest"))
    await add(connection, *(f"{at}-0" for at in range(1, 11)))
    await connection.execute("HSET", KEYS.cursors, "whe_a", "4-0")

    first, second = await outbox.cap(keep=4), await outbox.cap(keep=4)

    assert (first, second) == ((6, 2), (0, 0))
    assert [one.id for one in await log.entries(after="0-0", limit=99)] == [
        "7-0", "8-0", "9-0", "10-0",
    ]  # fmt: skip
    assert await log.trimmed_to() == "6-0"
    assert (await outbox.size()).lost == 2


async def test_the_cap_drops_no_more_than_its_limit_in_one_run(
    outbox: Outbox, connection: Connection
) -> None:
    """Redis does nothing else meanwhile."""
    await add(connection, *(f"{at}-0" for at in range(1, 11)))

    assert await outbox.cap(keep=0, limit=3) == (3, 0)


async def test_health_is_the_last_success_and_the_failures_after_it(
    outbox: Outbox, endpoints: Endpoints, clock: Clock
) -> None:
    """The first failure stays, the last one moves; a success wipes both."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    seen = []

    for heard in ("taken", "failed", "failed", "", "taken"):
        clock.ms += 10
        await outbox.settle("whe_a", token="t", heard=heard)
        seen.append(await outbox.health("whe_a"))

    start = clock.ms - 50
    assert seen == [
        Health(start + 10, None, None),
        Health(start + 10, start + 20, start + 20),
        Health(start + 10, start + 20, start + 30),
        Health(start + 10, start + 20, start + 30),
        Health(start + 50, None, None),
    ]


async def test_a_disabled_endpoint_is_told_of_once(
    endpoints: Endpoints, connection: Connection, clock: Clock
) -> None:
    """In the outbox of its home shard, in the step that suspends it; mending repeats nothing."""
    home = shard_of("whe_a", shards=2)
    await endpoints.create(ENDPOINT)
    off = replace(ENDPOINT, state="disabled", disabled_reason="gone")

    await endpoints.replace(ENDPOINT, off)
    await endpoints.heal("whe_a")

    entries = [
        await EventLog(connection.execute, shard=shard).entries(after="0-0", limit=9)
        for shard in range(2)
    ]
    [told] = entries[home]
    assert entries[1 - home] == []
    assert told.fields == {
        "t": "endpoint.disabled", "endpoint_id": "whe_a", "w": clock(), "r": "gone",
    }  # fmt: skip


async def test_a_deleted_endpoint_leaves_nothing(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """Health and logs go with it."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    await outbox.settle("whe_a", token="t", heard="failed")
    await outbox.log(
        "whe_a", [ATTEMPT, replace(ATTEMPT, verdict="failed")], keep=9, keep_for_ms=60_000
    )

    await endpoints.delete("whe_a")

    assert await connection.execute("KEYS", "*whe_a*") == []
