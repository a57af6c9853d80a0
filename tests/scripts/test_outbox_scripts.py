"""The scripts behind delivery: each reply of each, and what running one twice does."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dni_allocator.domain.delivery import Entry, Settlement
from dni_allocator.domain.errors import EditConflict, EndpointUnknown
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.keys import FORWARDERS, WEBHOOKS, ShardKeys
from dni_allocator.store.outbox import Outbox, Presence

ENDPOINT = Endpoint(id="whe_a", url="https://example.com/", secret="whsec_x", created_ms=5)
KEYS = ShardKeys(0)
NOW = 1_000_000_000


class Clock:
    """The time of the scripts, driven by the test."""

    def __init__(self) -> None:
        self.ms = NOW

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
def endpoints(connection: Connection) -> Endpoints:
    """Endpoints over two shards."""
    return Endpoints(connection.execute, shards=2)


async def add(connection: Connection, *entry_ids: str) -> None:
    """Write entries by id, each with its id as number."""
    for entry_id in entry_ids:
        await connection.execute(
            "XADD", KEYS.events, entry_id, "t", "number.assigned", "n", entry_id
        )


async def kept(connection: Connection) -> list[str]:
    """The ids that are in the outbox."""
    entries = await connection.execute("XRANGE", KEYS.events, "-", "+")
    assert isinstance(entries, list)
    return [bytes(entry[0]).decode() for entry in entries]


async def position(connection: Connection, endpoint_id: str = "whe_a") -> object:
    """The stored position of an endpoint."""
    return await connection.execute("HGET", KEYS.cursors, endpoint_id)


def entry(entry_id: str, *, attempts: int = 1) -> Entry:
    """An entry as it was read."""
    return Entry(entry_id, 0, {"t": "number.assigned", "n": entry_id}, attempts)


async def test_lock_is_mine_until_it_runs_out(outbox: Outbox, connection: Connection) -> None:
    """One forwarder at a time; the same one may renew as often as it likes."""
    assert await outbox.lock("whe_a", token="one", ttl_ms=60_000)
    assert await outbox.lock("whe_a", token="one", ttl_ms=60_000)
    assert not await outbox.lock("whe_a", token="two", ttl_ms=60_000)

    ttl = await connection.execute("PTTL", KEYS.forwarder_lock("whe_a"))
    assert isinstance(ttl, int)
    assert 0 < ttl <= 60_000


async def test_a_lock_from_before_the_clock_went_back_is_not_held_for_longer(
    outbox: Outbox, connection: Connection
) -> None:
    """Its owner may be dead; one that lives renews it as ever."""
    await outbox.lock("whe_a", token="one", ttl_ms=10_000)
    await connection.execute("PEXPIRE", KEYS.forwarder_lock("whe_a"), 3_600_000)

    assert not await outbox.lock("whe_a", token="two", ttl_ms=10_000)

    left = await connection.execute("PTTL", KEYS.forwarder_lock("whe_a"))
    assert isinstance(left, int)
    assert left <= 10_000
    assert await outbox.lock("whe_a", token="one", ttl_ms=10_000)


async def test_unlock_is_for_the_owner_only(outbox: Outbox) -> None:
    """A forwarder that lost its lock cannot give away that of its successor."""
    await outbox.lock("whe_a", token="one", ttl_ms=60_000)

    await outbox.unlock("whe_a", token="two")
    assert not await outbox.lock("whe_a", token="two", ttl_ms=60_000)

    await outbox.unlock("whe_a", token="one")
    await outbox.unlock("whe_a", token="one")
    assert await outbox.lock("whe_a", token="two", ttl_ms=60_000)


async def test_presence_counts_the_living(connection: Connection) -> None:
    """The share of work follows how many forwarders have lately been heard of."""
    presence = Presence(connection.execute)

    assert await presence.announce("one", ttl_ms=60_000) == 1
    assert await presence.announce("one", ttl_ms=60_000) == 1
    assert await presence.announce("two", ttl_ms=60_000) == 2
    await presence.leave("one")
    assert await presence.announce("two", ttl_ms=60_000) == 1

    await connection.execute("ZADD", FORWARDERS, 1, "died long ago")
    assert await presence.announce("two", ttl_ms=60_000) == 1


async def test_presence_from_before_the_clock_went_back_does_not_count(
    connection: Connection,
) -> None:
    """A forwarder of the future would be counted until then, dead or alive."""
    presence = Presence(connection.execute)
    await connection.execute("ZADD", FORWARDERS, 4_000_000_000_000, "of the future")

    assert await presence.announce("one", ttl_ms=10_000) == 1


async def test_a_new_endpoint_starts_now(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """What happened before it was made is none of its business."""
    await add(connection, "1-0", "2-0")

    await endpoints.create(ENDPOINT)
    await add(connection, "3-0")
    await endpoints.create(ENDPOINT)

    assert await position(connection) == b"2-0"
    assert await connection.execute("HGET", ShardKeys(1).cursors, "whe_a") == b"0-0"
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    batch = await outbox.read("whe_a", token="t")
    assert batch is not None
    assert [one.id for one in batch.new] == ["3-0"]


async def test_an_endpoint_may_start_with_the_oldest(
    endpoints: Endpoints, connection: Connection
) -> None:
    """For a receiver that is to have all there is."""
    await add(connection, "1-0", "2-0")

    await endpoints.create(replace(ENDPOINT, start="oldest"))

    assert await position(connection) == b"0-0"


async def test_disabled_suspends_and_enabled_wakes(
    endpoints: Endpoints, connection: Connection
) -> None:
    """The position outlives a pause of the endpoint."""
    await add(connection, "1-0")
    await endpoints.create(ENDPOINT)
    disabled = replace(ENDPOINT, state="disabled")

    await endpoints.replace(ENDPOINT, disabled)
    await endpoints.heal("whe_a")
    assert await position(connection) == b"~1-0"

    await add(connection, "2-0")
    await endpoints.replace(disabled, ENDPOINT)
    assert await position(connection) == b"1-0"


async def test_an_edit_of_something_else_than_was_read_is_refused(endpoints: Endpoints) -> None:
    """Two editors: the second learns of the first."""
    await endpoints.create(ENDPOINT)
    first, second = replace(ENDPOINT, description="1"), replace(ENDPOINT, description="2")

    await endpoints.replace(ENDPOINT, first)
    await endpoints.replace(ENDPOINT, first)
    with pytest.raises(EditConflict):
        await endpoints.replace(ENDPOINT, second)

    assert await endpoints.get("whe_a") == first
    assert await endpoints.all() == [first]


async def test_delete_leaves_no_key(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """Parked events and dead letters name visitors: they go with their endpoint."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    await outbox.settle(
        "whe_a",
        token="t",
        settlements=[Settlement(entry("1-0"), "retry", 5), Settlement(entry("2-0"), "dead")],
    )

    await endpoints.delete("whe_a")
    await endpoints.delete("whe_a")

    assert await connection.execute("KEYS", "*") == []
    with pytest.raises(EndpointUnknown):
        await endpoints.get("whe_a")
    with pytest.raises(EndpointUnknown):
        await endpoints.replace(ENDPOINT, ENDPOINT)


async def test_heal_takes_back_what_a_deleted_endpoint_left(
    endpoints: Endpoints, connection: Connection
) -> None:
    """A position without a record would hold trimming for ever."""
    await endpoints.create(ENDPOINT)
    await connection.execute("HDEL", WEBHOOKS, "whe_a")

    await endpoints.heal("whe_a")

    assert await position(connection) is None


async def test_suspending_what_is_not_there_makes_nothing(
    endpoints: Endpoints, connection: Connection
) -> None:
    """A disabled endpoint that lost its positions gets none until it is enabled."""
    disabled = replace(ENDPOINT, state="disabled")
    await connection.execute("HSET", WEBHOOKS, "whe_a", disabled.to_json())

    await endpoints.heal("whe_a")

    assert await position(connection) is None


async def test_read_without_lock_or_endpoint_gives_nothing(
    outbox: Outbox, endpoints: Endpoints
) -> None:
    """LOST and GONE: either way the caller has no business here."""
    await endpoints.create(ENDPOINT)
    assert await outbox.read("whe_a", token="t") is None

    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    assert await outbox.read("whe_a", token="t") is not None

    await endpoints.delete("whe_a")
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    assert await outbox.read("whe_a", token="t") is None


async def test_read_goes_on_where_it_is_told(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """Reading ahead moves no position."""
    await endpoints.create(ENDPOINT)
    await add(connection, "1-0", "1-1", "2-0")
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)

    first = await outbox.read("whe_a", token="t", limit=2)
    assert first is not None
    second = await outbox.read("whe_a", token="t", after=first.new[-1].id, limit=2)

    assert second is not None
    assert [one.id for one in first.new] == ["1-0", "1-1"]
    assert first.new[0].fields == {"t": "number.assigned", "n": "1-0"}
    assert [one.id for one in second.new] == ["2-0"]
    assert await position(connection) == b"0-0"


async def test_a_parked_event_comes_back_when_it_is_due(
    outbox: Outbox, endpoints: Endpoints, clock: Clock
) -> None:
    """Once, with its attempts, not before its time, and even if the outbox was trimmed."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    parked = Settlement(entry("1-0", attempts=3), "retry", 5_000, "500")
    await outbox.settle("whe_a", token="t", settlements=[parked], position="1-0")
    await outbox.settle("whe_a", token="t", settlements=[parked], position="1-0")

    early = await outbox.read("whe_a", token="t")
    clock.ms += 5_000
    due = await outbox.read("whe_a", token="t")
    again = await outbox.read("whe_a", token="t", busy=["1-0"])

    assert early is not None
    assert (early.due, early.next_due_ms) == ((), 5_000)
    assert due is not None
    assert due.due == (entry("1-0", attempts=3),)
    assert again is not None
    assert again.due == ()


async def test_a_retry_that_is_taken_leaves_nothing(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """Running the same settlement twice changes nothing more."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    await outbox.settle("whe_a", token="t", settlements=[Settlement(entry("1-0"), "retry", 5)])

    for _ in range(2):
        taken = [Settlement(entry("1-0", attempts=2), "taken")]
        assert await outbox.settle("whe_a", token="t", settlements=taken)

    assert await connection.execute("EXISTS", KEYS.retries("whe_a"), KEYS.parked("whe_a")) == 0


async def test_a_dead_letter_says_why_and_is_kept_for_a_while(
    outbox: Outbox, endpoints: Endpoints, clock: Clock, connection: Connection
) -> None:
    """Somebody can look at it and send it again; after its time it is forgotten."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)
    await outbox.settle("whe_a", token="t", settlements=[Settlement(entry("1-0"), "retry", 5)])
    dead = [Settlement(entry("1-0", attempts=10), "dead", note="500")]
    await outbox.settle("whe_a", token="t", settlements=dead)
    clock.ms += 1_000
    await outbox.settle("whe_a", token="t", settlements=dead)

    letters = await EventLog(connection.execute, shard=0).dead_letters("whe_a")
    kept_now = await outbox.forget_dead_letters("whe_a", keep_for_ms=1_001)
    forgotten = await outbox.forget_dead_letters("whe_a", keep_for_ms=1_000)

    assert [(one.entry, one.since_ms, one.note) for one in letters] == [
        (entry("1-0", attempts=10), NOW, "500")
    ]
    assert (kept_now, forgotten) == (0, 1)
    assert await EventLog(connection.execute, shard=0).dead_letters("whe_a") == []
    assert await connection.execute("EXISTS", KEYS.parked("whe_a"), KEYS.retries("whe_a")) == 0


async def test_parked_events_of_an_endpoint_long_disabled_are_forgotten(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """They name visitors, and nobody retries for an endpoint that is switched off."""
    await endpoints.create(ENDPOINT)
    await connection.execute("ZADD", KEYS.retries("whe_a"), NOW - 1_000, "1-0", NOW, "2-0")
    await connection.execute("HSET", KEYS.parked("whe_a"), "1-0", "old", "2-0", "new")

    forgotten = await outbox.forget_dead_letters("whe_a", keep_for_ms=1_000)

    assert forgotten == 1
    assert await connection.execute("HKEYS", KEYS.parked("whe_a")) == [b"2-0"]
    assert await connection.execute("ZRANGE", KEYS.retries("whe_a"), 0, -1) == [b"2-0"]


async def test_a_forwarder_that_lost_its_lock_moves_nothing(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """The fence: a process that slept through its TTL wakes up powerless."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="successor", ttl_ms=60_000)

    settled = await outbox.settle(
        "whe_a",
        token="sleeper",
        settlements=[Settlement(entry("1-0"), "dead")],
        position="1-0",
    )

    assert not settled
    assert await position(connection) == b"0-0"
    assert await EventLog(connection.execute, shard=0).dead_letters("whe_a") == []


async def test_a_deleted_endpoint_is_not_brought_back_by_a_settlement(
    outbox: Outbox, endpoints: Endpoints, connection: Connection
) -> None:
    """Deliveries in flight end after the deletion."""
    await endpoints.create(ENDPOINT)
    await endpoints.delete("whe_a")
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)

    assert not await outbox.settle("whe_a", token="t", position="1-0")
    assert await position(connection) is None


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        ("9-0", "10-0", b"10-0"),
        ("10-0", "9-0", b"10-0"),
        ("5-9", "5-10", b"5-10"),
        ("5-10", "5-9", b"5-10"),
        ("5-1", "", b"5-1"),
    ],
)
async def test_a_position_only_moves_forward(
    outbox: Outbox,
    endpoints: Endpoints,
    connection: Connection,
    *,
    first: str,
    second: str,
    stands: bytes,
) -> None:
    """Ids are compared as numbers, so a late second run of a script undoes nothing."""
    await endpoints.create(ENDPOINT)
    await outbox.lock("whe_a", token="t", ttl_ms=60_000)

    await outbox.settle("whe_a", token="t", position=first)
    await outbox.settle("whe_a", token="t", position=second)

    assert await position(connection) == stands


async def test_trim_waits_for_the_slowest_active_endpoint(
    outbox: Outbox, endpoints: Endpoints, connection: Connection, clock: Clock
) -> None:
    """What it has not taken stays, however old and however much it is."""
    clock.ms = 10**12
    for name in ("whe_a", "whe_b", "whe_c"):
        await endpoints.create(replace(ENDPOINT, id=name))
        await outbox.lock(name, token="t", ttl_ms=60_000)
    await add(connection, "1-0", "2-0", "3-0", "4-0")
    await outbox.settle("whe_a", token="t", position="4-0")
    await outbox.settle("whe_b", token="t", position="2-0")
    third = await endpoints.get("whe_c")
    await endpoints.replace(third, replace(third, state="disabled"))

    dropped = await outbox.trim(keep=0, keep_for_ms=0)
    assert dropped == 2
    assert await kept(connection) == ["3-0", "4-0"]

    await endpoints.delete("whe_b")
    assert await outbox.trim(keep=0, keep_for_ms=0) == 2
    assert await outbox.trim(keep=0, keep_for_ms=0) == 0
    assert await kept(connection) == []


async def test_what_all_have_taken_is_kept_for_replay_until_it_is_old(
    outbox: Outbox, connection: Connection, clock: Clock
) -> None:
    """Young entries stay even with no endpoint at all; events name visitors, so not for ever."""
    await add(connection, f"{NOW - 2000}-0", f"{NOW - 1000}-0", f"{NOW}-0")

    assert await outbox.trim(keep=100, keep_for_ms=1_000) == 1
    assert await kept(connection) == [f"{NOW - 1000}-0", f"{NOW}-0"]

    clock.ms += 1_001
    assert await outbox.trim(keep=100, keep_for_ms=1_000) == 2


async def test_an_outbox_that_nobody_reads_stays_small(
    outbox: Outbox, connection: Connection
) -> None:
    """Without endpoints the newest are kept, give or take a stream node; in bounded steps."""
    await add(connection, *[f"{NOW}-{n}" for n in range(1_000)])

    steps = [await outbox.trim(keep=300, keep_for_ms=10**6, limit=200) for _ in range(6)]

    left = await kept(connection)
    assert 300 <= len(left) <= 400
    assert left[-1] == f"{NOW}-999"
    assert max(steps) <= 200
    assert steps[-1] == 0


async def test_trimming_an_empty_outbox_does_nothing(outbox: Outbox) -> None:
    """A shard without pools."""
    assert await outbox.trim(keep=0, keep_for_ms=0) == 0


async def test_news_are_waited_for(outbox: Outbox, connection: Connection) -> None:
    """An idle forwarder sleeps in the server; the newest entry wakes it."""
    assert await outbox.waiting_for_news(after="0-0", block_ms=1) == "0-0"

    await add(connection, "1-0", "2-0")

    assert await outbox.waiting_for_news(after="0-0", block_ms=1) == "2-0"
    assert await outbox.waiting_for_news(after="2-0", block_ms=1) == "2-0"
