"""A forwarder in this process, a real store, a real receiver."""

from collections import Counter
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import orjson
import pytest
from standardwebhooks import Webhook

from dni_allocator.domain.webhook import RETRY_DELAYS_S, Endpoint
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.outbox import Outbox
from dni_allocator.webhooks.ports import Attempt
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import (
    QUICK,
    SECRET,
    assigned,
    endpoint,
    forwarder,
    publish,
    running,
)
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until_async
from tests.webhooks.conftest import RetryClock

KEYS = ShardKeys(0)


async def position_after(
    connection: Connection, event_id: str, endpoint_id: str = "whe_one"
) -> None:
    """Wait until an endpoint's position has reached this event."""
    wanted = event_id.removeprefix("evt_s0_").encode()

    async def reached() -> bool:
        return await connection.execute("HGET", KEYS.cursors, endpoint_id) == wanted

    await wait_until_async(reached, what=f"the position of {endpoint_id} at {event_id}")


async def parked_attempts(connection: Connection, attempts: int) -> bool:
    """Whether the only parked event was tried so often."""
    copies = await connection.execute("HVALS", KEYS.parked("whe_one"))
    assert isinstance(copies, list)
    return [orjson.loads(copy)["attempts"] for copy in copies] == [attempts]


async def test_every_event_arrives_signed(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """What was in the outbox and what comes while the forwarder runs; the library accepts it."""
    await endpoints.create(endpoint(receiver.url))
    sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(100)])

    async with running(forwarder(connection, transport)):
        sent += await publish(connection, [assigned(f"+1628555{n:04}") for n in range(100)])
        await wait_until_async(lambda: len(receiver.taken) >= 200)
        await position_after(connection, sent[-1])

    assert Counter(receiver.ids()) == Counter(sent)
    for delivery in receiver.taken:
        payload = Webhook(SECRET).verify(delivery.body, delivery.headers)
        assert payload["data"]["event_id"] == delivery.id
    assert receiver.taken[0].path == "/hook"
    assert receiver.taken[0].headers["content-type"] == "application/json"


async def test_events_of_one_number_keep_their_order(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Many are under way at once, but never two of one number."""
    numbers = [f"+1415555010{n}" for n in range(5)]
    await endpoints.create(endpoint(receiver.url))
    sent = await publish(connection, [assigned(numbers[n % 5], fence=n // 5) for n in range(200)])

    async with running(forwarder(connection, transport)):
        await wait_until_async(lambda: len(receiver.taken) >= 200)

    order = {event_id: place for place, event_id in enumerate(sent)}
    for number in numbers:
        places = [order[one.id] for one in receiver.taken if one.number == number]
        assert places == sorted(places)
    assert 1 < receiver.most_at_once <= 5


async def test_a_poison_event_is_parked_while_others_flow(
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
    clock: RetryClock,
) -> None:
    """It is tried again by the same id and the same body until it is taken."""
    poison = "+14155550007"
    healthy = [assigned(f"+1628555{n:04}") for n in range(50)]
    receiver.answer = lambda one: 500 if one.number == poison else 204
    await endpoints.create(endpoint(receiver.url))
    sent = await publish(connection, [assigned(poison), *healthy])

    async with running(forwarder(connection, transport, clock=clock)):
        await wait_until_async(lambda: len(receiver.taken) >= 50)
        await position_after(connection, sent[-1])
        clock.ahead_s += 6.1
        # Only once the failure is written down: its next attempt is reckoned from that instant.
        await wait_until_async(lambda: parked_attempts(connection, 2))
        assert (await Outbox(connection.execute, shard=0).size()).pending == 1
        receiver.answer = lambda _: 204
        clock.ahead_s += 361
        await wait_until_async(lambda: len(receiver.taken) >= 51)

        async def nothing_is_parked() -> bool:
            return await connection.execute("EXISTS", KEYS.parked("whe_one")) == 0

        await wait_until_async(nothing_is_parked)

    attempts = [one for one in receiver.came if one.number == poison]
    assert [one.id for one in attempts] == [sent[0]] * 3
    assert len({one.body for one in attempts}) == 1


async def test_an_event_that_is_refused_for_good_is_a_dead_letter(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """422 is about the event, which never changes; it is kept with the reason."""
    receiver.answer = lambda one: 422 if one.number == "+14155550107" else 204
    await endpoints.create(endpoint(receiver.url))
    sent = await publish(connection, [assigned("+14155550107"), assigned("+14155550108")])

    async with running(forwarder(connection, transport)):
        await position_after(connection, sent[-1])

    letters = await EventLog(connection.execute, shard=0).dead_letters("whe_one")
    assert [(one.entry.event.id, one.note) for one in letters] == [(sent[0], "422")]
    assert receiver.ids() == [sent[1]]


async def test_after_the_last_attempt_an_event_is_a_dead_letter(
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
    clock: RetryClock,
) -> None:
    """Ten attempts over three days, then a person has to look at it."""
    receiver.answer = lambda _: 500
    await endpoints.create(endpoint(receiver.url))
    [sent] = await publish(connection, [assigned("+14155550107")])

    async with running(forwarder(connection, transport, clock=clock)):
        for attempt, wait_s in enumerate([*RETRY_DELAYS_S[1:], 0], start=1):
            await wait_until_async(partial(parked_attempts, connection, attempt))
            clock.ahead_s += 1.21 * wait_s
        outbox = EventLog(connection.execute, shard=0)
        await wait_until_async(lambda: outbox.dead_letters("whe_one"))

    [letter] = await outbox.dead_letters("whe_one")

    assert (letter.entry.event.id, letter.entry.attempts, letter.note) == (sent, 10, "500")
    assert [one.id for one in receiver.came] == [sent] * 10


async def test_a_dead_endpoint_is_left_alone_and_then_gets_everything(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, clock: RetryClock
) -> None:
    """It costs a probe now and then; its events wait in the outbox, not in the retry set."""
    attempts: list[Attempt] = []
    async with receiving() as first:
        port = urlsplit(first.url).port or 0
        await endpoints.create(endpoint(first.url))
    pace = replace(QUICK, concurrency=4)
    made = forwarder(connection, transport, pace=pace, clock=clock, observe=attempts.append)

    async with running(made):
        sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(500)])
        await wait_until_async(lambda: len(attempts) >= 12)
        parked = await connection.execute("HLEN", KEYS.parked("whe_one"))
        async with receiving(port) as back:
            clock.ahead_s += 10_000
            await wait_until_async(lambda: len(set(back.ids())) == 500)

    assert isinstance(parked, int)
    assert parked < 50
    assert set(back.ids()) == set(sent)


async def test_one_dead_endpoint_delays_no_other(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Each endpoint has its own position, and trimming waits for the slower one."""
    async with receiving() as closed:
        await endpoints.create(endpoint(closed.url, endpoint_id="whe_dead"))
    await endpoints.create(endpoint(receiver.url))
    pace = replace(QUICK, keep=0, keep_for_ms=0)

    async with running(forwarder(connection, transport, pace=pace)):
        sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(300)])
        await position_after(connection, sent[-1])
        done = await connection.execute("HGET", KEYS.cursors, "whe_dead")
        assert isinstance(done, bytes)
        left = await connection.execute("XRANGE", KEYS.events, b"(" + done, "+")

    assert isinstance(left, list)
    assert len(left) > 200
    assert [f"evt_s0_{bytes(one[0]).decode()}" for one in left] == sent[-len(left) :]
    assert Counter(receiver.ids()) == Counter(sent)


async def test_what_everybody_has_is_trimmed(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """The outbox is a way through, not an archive."""
    await endpoints.create(endpoint(receiver.url))
    pace = replace(QUICK, keep=0, keep_for_ms=0)

    async with running(forwarder(connection, transport, pace=pace)):
        sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(300)])

        async def empty() -> bool:
            return await connection.execute("XLEN", KEYS.events) == 0

        await wait_until_async(empty)

    assert Counter(receiver.ids()) == Counter(sent)


async def test_gone_disables_the_endpoint(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """410 is the receiver's way to say stop; when enabled again it goes on where it stopped."""
    receiver.answer = lambda _: 410
    await endpoints.create(endpoint(receiver.url))
    told: list[Endpoint] = []

    async with running(forwarder(connection, transport, disabled=told.append)):
        [sent] = await publish(connection, [assigned("+14155550107")])

        async def disabled() -> bool:
            return (await endpoints.get("whe_one")).state == "disabled"

        await wait_until_async(disabled)
        stored = await endpoints.get("whe_one")
        receiver.answer = lambda _: 204
        await endpoints.replace(stored, replace(stored, state="active", disabled_reason=""))
        await wait_until_async(lambda: receiver.taken)

    assert stored.disabled_reason == "gone"
    assert [(one.id, one.disabled_reason) for one in told] == [("whe_one", "gone")]
    assert receiver.ids() == [sent]


async def test_retry_after_is_waited_for_by_the_whole_endpoint(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """An overloaded receiver that asks for time gets it, for all its events."""
    receiver.answer = lambda _: 429
    receiver.headers = {"retry-after": "3600"}
    await endpoints.create(endpoint(receiver.url))
    pace = replace(QUICK, concurrency=1)

    async with running(forwarder(connection, transport, pace=pace)):
        sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(20)])
        await position_after(connection, sent[0])

    [at] = await parked_delays(connection)
    assert 3590 < at <= 3600
    assert len(receiver.came) == 1


async def parked_delays(connection: Connection) -> list[float]:
    """Seconds until each parked event is due."""
    now = await connection.execute("TIME")
    due = await connection.execute("ZRANGE", KEYS.retries("whe_one"), 0, -1, "WITHSCORES")
    assert isinstance(now, (list, tuple))
    assert isinstance(due, list)
    scores = [float(row[1]) for row in due]
    return [score / 1000 - float(now[0]) - float(now[1]) / 1e6 for score in scores]


async def test_types_nobody_asked_for_are_passed_over(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """They are settled without a request, so they hold no trimming."""
    await endpoints.create(replace(endpoint(receiver.url), event_types=("lease.ended",)))

    async with running(forwarder(connection, transport)):
        sent = await publish(
            connection,
            [*(assigned(f"+1415555{n:04}") for n in range(1000)), {"t": "lease.ended", "n": "+1"}],
        )
        await position_after(connection, sent[-1])

    assert receiver.ids() == [sent[-1]]


async def test_a_strange_entry_stops_nothing(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Half a character, rubbish for JSON, a type of the future: all are delivered."""
    await endpoints.create(endpoint(receiver.url))
    strange = [
        {"t": "from.the.future", "zz": "1"},
        assigned("+14155550107") | {"x": '{"half":"\\ud800"}'},
        assigned("+14155550107") | {"x": "{", "w": "yesterday"},
    ]

    async with running(forwarder(connection, transport)):
        sent = await publish(connection, strange)
        await connection.execute("XADD", KEYS.events, "*", "t", b"\xff\xfe")
        await wait_until_async(lambda: len(receiver.taken) == 4)

    assert set(sent) < set(receiver.ids())


async def test_an_edited_url_is_followed(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Without a restart."""
    seen = endpoint(receiver.url + "/old")
    await endpoints.create(seen)

    async with running(forwarder(connection, transport)):
        await publish(connection, [assigned("+14155550107")])
        await wait_until_async(lambda: receiver.taken)
        await endpoints.replace(seen, replace(seen, url=receiver.url + "/new"))

        async def new_path() -> bool:
            await publish(connection, [assigned("+14155550107")])
            return receiver.taken[-1].path == "/hook/new"

        await wait_until_async(new_path)

    assert receiver.taken[0].path == "/hook/old"


async def test_events_that_were_in_the_air_at_a_stop_are_finished(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Stopping loses nothing and repeats nothing: the next forwarder goes on behind."""
    await endpoints.create(endpoint(receiver.url))
    sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(400)])

    async with running(forwarder(connection, transport)):
        await wait_until_async(lambda: len(receiver.taken) >= 20)
    async with running(forwarder(connection, transport)):
        await wait_until_async(lambda: len(receiver.taken) >= 400)
        await position_after(connection, sent[-1])

    assert Counter(receiver.ids()) == Counter(sent)


async def test_two_forwarders_share_the_work(
    connection: Connection, transport: HttpTransport, receiver: Receiver
) -> None:
    """Each takes half of the shards; nothing is sent twice while both are well."""
    endpoints = Endpoints(connection.execute, shards=4)
    await endpoints.create(endpoint(receiver.url))
    by: dict[str, list[str]] = {"one": [], "two": []}

    def observing(name: str) -> list[str]:
        return by[name]

    one = forwarder(
        connection, transport, shards=4, observe=lambda a: observing("one").append(a.event_id)
    )
    two = forwarder(
        connection, transport, shards=4, observe=lambda a: observing("two").append(a.event_id)
    )

    async with running(one), running(two):

        async def both_work() -> bool:
            for shard in range(4):
                await publish(connection, [assigned("+14155550107")], shard=shard)
            shards = [{event_id[:6] for event_id in ids[-40:]} for ids in by.values()]
            return len(shards[0]) == 2 == len(shards[1]) and not shards[0] & shards[1]

        await wait_until_async(both_work, what="an even share")

    assert set(by["one"]) | set(by["two"]) == set(receiver.ids())


@pytest.mark.parametrize("url", ["http://10.255.255.1/", "https://127.0.0.1/", "ftp://x/", "::"])
async def test_addresses_out_of_bounds_are_never_reached(
    url: str, connection: Connection, endpoints: Endpoints
) -> None:
    """The guard is in the real transport; the event waits for the URL to be mended."""
    attempts: list[Attempt] = []
    await endpoints.create(endpoint(url))

    async with (
        HttpTransport() as guarded,
        running(forwarder(connection, guarded, observe=attempts.append)),
    ):
        await publish(connection, [assigned("+14155550107")])
        await wait_until_async(lambda: attempts)

    assert attempts[0].status is None
    assert attempts[0].failure in {"refused", "url"}
