"""A conversion survives what kills its forwarder, and counts once."""

import asyncio
import json

import pytest

from dni_allocator.domain.conversion import EVENT_TYPE, MetaTarget
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.advertisers import Dataset
from tests.support.delivery import forwarder, publish, running
from tests.support.receiver import RESET, Delivery, Receiver
from tests.support.waiting import wait_until_async
from tests.webhooks.conftest import RetryClock
from tests.webhooks.test_chaos import program

pytestmark = pytest.mark.chaos
SHARDS = 1


def qualified(place: int, *, source: str = "src_1") -> dict[str, str]:
    """The fields of an entry, as a call that qualifies writes them."""
    facts = {"call_id": f"call_a_{place}", "caller": f"+1415555{place:04}", "duration_s": 95,
             "started_at": "2026-11-23T08:38:27.109Z"}  # fmt: skip
    return {
        "t": EVENT_TYPE, "p": "pool_a", "n": "+14155550101", "v": f"visitor-{place}", "o": source,
        "d": "+18005550100", "f": "1", "w": "1795423107109", "j": json.dumps(facts),
    }  # fmt: skip


def _event_id(delivery: Delivery) -> str:
    return str(json.loads(delivery.body)["data"][0]["event_id"])


async def test_an_event_that_lacks_what_the_vendor_needs_is_a_dead_letter(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """Without a request, since Meta would refuse it, and with the reason; the others go on."""
    dataset = Dataset("EAAG-token-of-a-test")

    def answer(delivery: Delivery) -> int:
        status = dataset.answer(delivery)
        receiver.body = dataset.reply
        return status

    receiver.answer = answer
    target = MetaTarget(pixel_id="1", access_token="EAAG-token-of-a-test", send_phone=False)
    await endpoints.create(
        Endpoint(id="cnv_1", url=receiver.url, secret="", created_ms=1, target=target)
    )
    log = EventLog(connection.execute, shard=0)

    async with running(forwarder(connection, transport)):
        [unknown, known] = await publish(connection, [qualified(1) | {"v": ""}, qualified(2)])

        async def dead() -> bool:
            return bool(await log.dead_letters("cnv_1", limit=10))

        await wait_until_async(dead)
        await wait_until_async(lambda: dataset.counted)

    [letter] = await log.dead_letters("cnv_1", limit=10)
    assert (letter.entry.event_id, letter.note) == (unknown, "nobody is known of whom to tell")
    assert [event_id for _, event_id in dataset.counted] == [known]
    assert len(receiver.came) == 1


async def test_a_killed_forwarder_neither_loses_nor_doubles_a_conversion(  # noqa: PLR0917 -- parts of one rig
    redis_url: str,
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
    clock: RetryClock,
) -> None:
    """The answers are lost, the process is killed, the next one sends again: each counts once."""
    dataset = Dataset("EAAG-token-of-a-test")
    is_dying = True

    def answer(delivery: Delivery) -> int:
        status = dataset.answer(delivery)
        receiver.body = dataset.reply
        # Meta has taken it, and nobody hears that it has.
        return RESET if is_dying else status

    receiver.answer = answer
    target = MetaTarget(pixel_id="1", access_token="EAAG-token-of-a-test")
    await endpoints.create(
        Endpoint(
            id="cnv_1",
            url=receiver.url,
            secret="",
            created_ms=1,
            event_types=(EVENT_TYPE,),
            sources=("src_1",),
            target=target,
        )
    )
    others = [qualified(place, source="src_2") for place in range(50, 60)]
    sent = await publish(connection, [*(qualified(place) for place in range(20)), *others])

    with program("forward", redis_url, "--shards", str(SHARDS)) as doomed:
        await wait_until_async(lambda: len(dataset.received) >= 5)
        doomed.kill()
        await asyncio.to_thread(doomed.wait)
    is_dying = False
    clock.ahead_s = 60
    async with running(forwarder(connection, transport, shards=SHARDS, clock=clock)):
        await wait_until_async(lambda: len({_event_id(each) for each in receiver.taken}) == 20)

    assert sorted(event_id for _, event_id in dataset.counted) == sorted(sent[:20])
    assert dataset.wrong == []
    assert len(dataset.received) > 20
