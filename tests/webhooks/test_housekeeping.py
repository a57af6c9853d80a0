"""The outbox is bounded, and an endpoint that is gone for good does not fill it for ever."""

from dataclasses import replace

from dni_allocator.domain.webhook import Endpoint
from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.outbox import Outbox
from dni_allocator.webhooks.housekeeping import Housekeeping, Outboxes
from dni_allocator.webhooks.ports import Pace
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import QUICK, assigned, endpoint, forwarder, publish, running
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until_async
from tests.webhooks.conftest import RetryClock

MB = 1024 * 1024
DAY_S = 24 * 3600


def keeper(
    connection: Connection, seen: list[Outboxes], *, cap_bytes: int, keep: int = 0
) -> Housekeeping:
    """A housekeeper of one shard that keeps nothing for replay."""
    return Housekeeping(
        outboxes=[Outbox(connection.execute, shard=0)],
        endpoints=Endpoints(connection.execute, shards=1),
        pace=Pace(keep=keep, keep_for_ms=10**12 if keep else 0),
        cap_bytes=cap_bytes,
        observe=seen.append,
    )


async def fill(connection: Connection, events: int) -> list[str]:
    """So many events of about half a kilobyte; their ids."""
    return await publish(
        connection, [assigned("+14155550101") | {"x": "y" * 500} for _ in range(events)]
    )


async def test_nothing_is_dropped_below_the_cap_and_the_alarm_comes_long_before(
    connection: Connection, endpoints: Endpoints
) -> None:
    """At half of it somebody should look; what nobody has taken is all still there."""
    seen: list[Outboxes] = []
    await endpoints.create(endpoint("https://example.com/"))
    await fill(connection, 1000)
    housekeeping = keeper(connection, seen, cap_bytes=MB)

    await housekeeping.round()
    await fill(connection, 300)
    calm = replace(seen[0], cap_bytes=100 * MB)

    assert (seen[0].entries, seen[0].lost) == (1000, 0)
    assert seen[0].is_filling
    assert not calm.is_filling
    assert seen[0].oldest_unread_ms is not None


async def test_over_the_cap_the_oldest_go_and_every_loss_is_counted(
    connection: Connection, endpoints: Endpoints
) -> None:
    """Memory has its bound; whoever lost something can see it, for good."""
    seen: list[Outboxes] = []
    await endpoints.create(endpoint("https://example.com/"))
    sent = await fill(connection, 2000)
    housekeeping = keeper(connection, seen, cap_bytes=MB // 2)

    await housekeeping.round()
    await housekeeping.round()

    left = await connection.execute("XRANGE", ShardKeys(0).events, "-", "+")
    assert isinstance(left, list)
    assert seen[0].bytes <= MB // 2
    assert seen[0].lost == 2000 - len(left) > 0
    assert seen[1] == seen[0], "what fits is left alone"
    assert [f"evt_s0_{bytes(one[0]).decode()}" for one in left] == sent[-len(left) :]


async def test_what_is_only_kept_for_replay_goes_first_and_is_no_loss(
    connection: Connection, endpoints: Endpoints
) -> None:
    """An endpoint that has them all has lost nothing."""
    seen: list[Outboxes] = []
    await endpoints.create(endpoint("https://example.com/"))
    sent = await fill(connection, 2000)
    last = sent[-1].removeprefix("evt_s0_")
    await connection.execute("HSET", ShardKeys(0).cursors, "whe_one", last)

    await keeper(connection, seen, cap_bytes=MB // 2, keep=100_000).round()

    assert seen[0].bytes <= MB // 2
    assert seen[0].lost == 0


async def test_a_disabled_endpoint_holds_nothing_and_loses_nothing_by_the_cap(
    connection: Connection, endpoints: Endpoints
) -> None:
    """Trimming passes it by, as its operator was told."""
    seen: list[Outboxes] = []
    made = endpoint("https://example.com/")
    await endpoints.create(made)
    await fill(connection, 500)
    await endpoints.replace(made, replace(made, state="disabled", disabled_reason="operator"))

    await keeper(connection, seen, cap_bytes=MB).round()

    assert (seen[0].entries, seen[0].lost, seen[0].oldest_unread_ms) == (0, 0, None)


async def test_five_days_of_failure_disable_an_endpoint_and_tell_the_others(
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
    clock: RetryClock,
) -> None:
    """Not a day sooner; the event names the endpoint and the reason."""
    other = endpoint(receiver.url + "/other", endpoint_id="whe_other")
    receiver.answer = lambda one: 204 if one.path.endswith("other") else 500
    await endpoints.create(endpoint(receiver.url))
    await endpoints.create(replace(other, event_types=("endpoint.disabled",)))

    async with running(forwarder(connection, transport, clock=clock)):
        await publish(connection, [assigned("+14155550101")])

        async def noted() -> bool:
            # Of the answer, not of the request: the five days begin when it is written down.
            return await connection.execute("ZCARD", ShardKeys(0).retries("whe_one")) == 1

        await wait_until_async(noted)
        before = await endpoints.get("whe_one")
        clock.ahead_s += 5 * DAY_S + 60
        await publish(connection, [assigned("+14155550102")])
        await wait_until_async(lambda: receiver.taken)
        after = await endpoints.get("whe_one")

    assert before.state == "active"
    assert (after.state, after.disabled_reason) == ("disabled", "failing")
    assert b'"endpoint_id":"whe_one"' in receiver.taken[0].body
    assert b'"reason":"failing"' in receiver.taken[0].body
    assert len(receiver.taken) == 1


async def test_one_success_begins_the_five_days_anew(
    connection: Connection,
    endpoints: Endpoints,
    transport: HttpTransport,
    receiver: Receiver,
    clock: RetryClock,
) -> None:
    """An endpoint that takes most is not dead because one event keeps failing."""
    receiver.answer = lambda one: 500 if one.number == "+14155550101" else 204
    await endpoints.create(endpoint(receiver.url))
    outbox = Outbox(connection.execute, shard=0, clock=clock)

    async with running(forwarder(connection, transport, clock=clock)):
        for _ in range(4):
            failed_before = len(receiver.came)
            await publish(connection, [assigned("+14155550101")])
            await wait_until_async(lambda: len(receiver.came) > failed_before)  # noqa: B023 -- asked at once
            [taken] = await publish(connection, [assigned("+14155550102")])
            await wait_until_async(lambda: taken in receiver.ids())  # noqa: B023 -- asked at once
            clock.ahead_s += 2 * DAY_S
        health = await outbox.health("whe_one")

    state: Endpoint = await endpoints.get("whe_one")
    assert state.state == "active"
    assert health.taken_at is not None


async def test_an_endpoint_enabled_again_starts_with_a_clean_record(
    connection: Connection, endpoints: Endpoints
) -> None:
    """Else it would be disabled again at once."""
    made = endpoint("https://example.com/")
    await endpoints.create(made)
    key = ShardKeys(0).health("whe_one")
    await connection.execute("HSET", key, "since", 1, "failed", 10**15)
    off = replace(made, state="disabled", disabled_reason="failing")
    await endpoints.replace(made, off)

    await endpoints.replace(off, made)

    health = await Outbox(connection.execute, shard=0).health("whe_one")
    assert health.failing_since is None


def test_production_looks_after_the_outbox_every_ten_seconds() -> None:
    """What docs/operations.md tells an operator to count on."""
    assert Pace().housekeeping_s == 10
    assert QUICK.housekeeping_s < Pace().housekeeping_s
