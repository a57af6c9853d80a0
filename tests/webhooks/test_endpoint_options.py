"""What an endpoint can ask for, seen from its receiver: pools, headers, rate, rotated secrets."""

import asyncio
import time
from dataclasses import replace

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from dni_allocator.domain.webhook import OldSecret
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.webhooks.gate import Gate
from dni_allocator.webhooks.signing import new_private_key, new_secret, public_key_of, verify
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import SECRET, assigned, endpoint, forwarder, publish, running
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until_async
from tests.unit.test_gate import Clock

NEW = new_secret(b"the secret after the rotation!!!")
PRIVATE = new_private_key(b"0123456789abcdef0123456789abcdef")


async def test_only_events_of_chosen_pools_are_sent(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """The others are passed over without a request."""
    await endpoints.create(replace(endpoint(receiver.url), pools=("pool_b",)))

    async with running(forwarder(connection, transport)):
        others = [assigned(f"+1415555{n:04}") for n in range(20)]
        sent = await publish(connection, [*others, assigned("+16285550101") | {"p": "pool_b"}])
        await wait_until_async(lambda: receiver.taken)

    assert receiver.ids() == [sent[-1]]


async def test_headers_go_with_each_request_and_their_values_stay_out_of_the_log(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """A gateway's password opens doors: whoever may read the log need not have it."""
    receiver.answer = lambda one: 500 if one.number.endswith("9") else 204
    made = replace(endpoint(receiver.url), headers=(("authorization", "Bearer of-the-gateway"),))
    await endpoints.create(made)
    log = EventLog(connection.execute, shard=0)

    async with running(forwarder(connection, transport)):
        [taken, failed] = await publish(
            connection, [assigned("+14155550101"), assigned("+14155550109")]
        )
        await wait_until_async(lambda: len(receiver.came) == 2)

        async def both_noted() -> bool:
            return len(await log.attempts("whe_one")) == 2

        await wait_until_async(both_noted)

    attempts = {one.event_id: one for one in await log.attempts("whe_one")}
    [only_failure] = await log.attempts("whe_one", failed_only=True)
    assert {one.headers["authorization"] for one in receiver.came} == {"Bearer of-the-gateway"}
    assert (attempts[taken].verdict, attempts[taken].status) == ("taken", 204)
    assert (only_failure.event_id, only_failure.status, only_failure.attempt) == (failed, 500, 1)
    assert only_failure.request["webhook-id"] == failed
    assert "of-the-gateway" not in str(attempts)
    assert "v1," not in str(attempts)
    assert "content-length" in only_failure.response


async def test_both_secrets_sign_until_the_overlap_is_over(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """The library accepts either during the overlap, and only the new one afterwards."""
    now_ms = int(time.time() * 1000)
    rotated = replace(
        endpoint(receiver.url), secret=NEW, old_secrets=(OldSecret(SECRET, now_ms + 3_600_000),)
    )
    await endpoints.create(rotated)

    async with running(forwarder(connection, transport)):
        await publish(connection, [assigned("+14155550101")])
        await wait_until_async(lambda: receiver.taken)
        over = replace(rotated, old_secrets=(OldSecret(SECRET, now_ms - 1),))
        await endpoints.replace(rotated, over)

        async def signed_once() -> bool:
            await publish(connection, [assigned("+14155550102")])
            return " " not in receiver.taken[-1].headers["webhook-signature"]

        await wait_until_async(signed_once)

    during, after = receiver.taken[0], receiver.taken[-1]
    for secret in (SECRET, NEW):
        Webhook(secret).verify(during.body, during.headers)
    Webhook(NEW).verify(after.body, after.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(after.body, after.headers)


async def test_ed25519_is_checked_with_what_the_receiver_was_given(
    connection: Connection, endpoints: Endpoints, transport: HttpTransport, receiver: Receiver
) -> None:
    """It never had a secret."""
    await endpoints.create(replace(endpoint(receiver.url), secret=PRIVATE))

    async with running(forwarder(connection, transport)):
        [sent] = await publish(connection, [assigned("+14155550101")])
        await wait_until_async(lambda: receiver.taken)

    [one] = receiver.taken
    key = public_key_of(PRIVATE) or ""
    assert verify([key], headers=one.headers, body=one.body, now_s=time.time()) == sent


def test_a_rate_is_kept_to_evenly_and_not_saved_up() -> None:
    """Ten a second: at most ten at once after a pause, then one every tenth of a second."""
    clock = Clock()
    made = Gate(clock=clock, random=lambda: 0.5, concurrency=10_000)
    made.limit(10)
    passed = []
    for _ in range(3):
        clock.s += 60
        for _ in range(1000):
            clock.s += 0.01
            if made.enter(asyncio.Event()):
                passed.append(clock.s)
                made.leave(taken=True)

    assert 3 * 100 <= len(passed) <= 3 * 112
    worst = max(sum(1 for other in passed if one <= other < one + 1) for one in passed)
    assert worst <= 21
