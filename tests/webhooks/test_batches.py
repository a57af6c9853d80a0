"""Batches: in order whatever fails, and one bad event stops none of the others."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from dni_allocator.domain.delivery import DeadLetter
from dni_allocator.domain.webhook import Body
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import (
    QUICK,
    HasteClock,
    assigned,
    endpoint,
    event_ids,
    forwarder,
    publish,
    running,
)
from tests.support.receiver import RESET, Delivery, Receiver
from tests.support.waiting import wait_until_async


def received(receiver: Receiver) -> list[str]:
    """The ids of all events taken, in the order in which they came."""
    return [event_id for one in receiver.taken for event_id in event_ids(one)]


@pytest.mark.parametrize("body", ["json", "ndjson"])
async def test_events_come_in_batches_and_in_order(
    body: Body,
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
) -> None:
    """Up to so many in one request, each once, in the order of the outbox."""
    await endpoints.create(replace(endpoint(receiver.url), body=body, batch_size=50))
    sent = await publish(connection, [assigned(f"+1415555{n:04}") for n in range(500)])

    async with running(forwarder(connection, transport)):
        await wait_until_async(lambda: len(received(receiver)) >= 500)

    assert received(receiver) == sent
    assert max(len(event_ids(one)) for one in receiver.taken) == 50
    assert receiver.most_at_once == 1


async def test_order_survives_whatever_a_receiver_does(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Half of the answers are failures; no event overtakes another of its number."""
    chance = random.Random(7)  # noqa: S311 -- the same failures each time
    numbers = [f"+1415555010{n}" for n in range(5)]
    receiver.answer = lambda _: chance.choice([204, 204, 204, 500, 429, 503, 301, RESET])
    await endpoints.create(replace(endpoint(receiver.url), body="json", batch_size=20))
    sent = await publish(connection, [assigned(numbers[n % 5], fence=n // 5) for n in range(300)])

    pace = replace(QUICK, idle_s=0.005)
    made = forwarder(connection, transport, pace=pace, monotonic=HasteClock(100_000.0))
    async with running(made):
        await wait_until_async(lambda: set(received(receiver)) == set(sent))

    order = {event_id: place for place, event_id in enumerate(sent)}
    first_seen = list(dict.fromkeys(received(receiver)))
    assert [order[event_id] for event_id in first_seen] == list(range(300))


async def test_an_event_that_is_refused_for_good_is_found_and_set_aside(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """By halves: the others of its batch are taken, it alone is a dead letter."""
    poison = "+14155550077"

    def judge(one: Delivery) -> int:
        return 422 if poison in one.body.decode() else 204

    receiver.answer = judge
    await endpoints.create(replace(endpoint(receiver.url), body="json", batch_size=100))
    sent = await publish(connection, [assigned(f"+141555500{n:02}") for n in range(100)])
    log = EventLog(connection.execute, shard=0)

    async with running(forwarder(connection, transport, monotonic=HasteClock())):

        async def set_aside() -> list[DeadLetter]:
            return await log.dead_letters("whe_one")

        await wait_until_async(set_aside)
        await wait_until_async(lambda: len(received(receiver)) >= 99)

    [letter] = await log.dead_letters("whe_one")
    assert letter.entry.event_id == sent[77]
    assert Counter(received(receiver)) == Counter(one for one in sent if one != sent[77])
    assert received(receiver) == [one for one in sent if one != sent[77]]


async def test_a_batch_is_sent_again_under_its_own_id(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """A batch of one cannot be halved, so every attempt is the same message."""
    answers = iter([500, 503, 204])
    receiver.answer = lambda _: next(answers)
    await endpoints.create(replace(endpoint(receiver.url), body="json", batch_size=1))
    await publish(connection, [assigned("+14155550101")])

    async with running(forwarder(connection, transport, monotonic=HasteClock())):
        await wait_until_async(lambda: receiver.taken)

    assert len(receiver.came) == 3
    assert len({one.id for one in receiver.came}) == 1
    assert len({one.body for one in receiver.came}) == 1
    assert isinstance(json.loads(receiver.taken[0].body), list)


async def test_what_failed_in_batches_for_days_becomes_dead_letters(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """An event that its receiver breaks over must not hold the others for ever."""
    poison = "+14155550003"
    receiver.answer = lambda one: 500 if poison in one.body.decode() else 204
    await endpoints.create(replace(endpoint(receiver.url), body="json"))
    sent = await publish(connection, [assigned(f"+141555500{n:02}") for n in range(10)])
    log = EventLog(connection.execute, shard=0)

    async with running(forwarder(connection, transport, monotonic=HasteClock(100_000.0))):
        await wait_until_async(lambda: len(received(receiver)) >= 9)

    [letter] = await log.dead_letters("whe_one")
    assert letter.entry.event_id == sent[3]
    assert letter.note == "500"
