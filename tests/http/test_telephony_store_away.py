"""A vendor is answered while the store is away, and what happened is written afterwards."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dni_allocator.domain.pool import Pool
from dni_allocator.services.last_known import LastKnown
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.routes import RouteStore
from dni_allocator.store.shards import Shards
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, Site, serving
from tests.support.telephony import CALLER, SETTINGS, Twilio, dial, document, recorded, rung
from tests.support.waiting import wait_until_async

ONE, TWO, THREE = fictional(3)
SECOND, NIGHT, SHARED = "+16025550142", "+16025550199", "+18005550100"


class Store:
    """A store that can be taken away and brought back, with what was in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: EmbeddedServer | None = None
        self._link = folder / "store.sock"
        self.url = f"unix://{self._link}"

    def start(self) -> None:
        """Bring it, or bring it back."""
        self._running = EmbeddedServer.start(self._folder / "data")
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._running.socket_path)

    def stop(self) -> None:
        """Take it away. Safe to repeat."""
        if self._running is not None:
            self._running.stop()
            self._running = None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One that runs."""
    made = Store(tmp_path)
    made.start()
    yield made
    made.stop()


async def shop(service: Service) -> tuple[Site, dict[str, str]]:
    """A pool with two destinations, and who saw which number for them."""
    site = await service.pool(
        ONE, TWO, destinations=[SHOP, SECOND], overflow_numbers=[SHARED],
        routing={"fallback_destinations": [NIGHT], "whisper": "{pool}", "record": "mono"},
    )  # fmt: skip
    return site, {
        "ann": await site.number("ann", destinations=[SECOND]),
        "bob": await site.number("bob", destinations=[SHOP]),
    }


async def refreshed(service: Service) -> None:
    """What the background does every few seconds."""
    await service.app.services.telephony.refresh()


async def back(service: Service) -> bool:
    """Whether the store answers by now."""
    return (await service.http.get("/readyz")).status_code == 200


async def test_every_call_rings_where_it_belongs(store: Store) -> None:
    """From the table in the process: both destinations, the shared number, the pool's rules."""
    async with serving(store.url, more=SETTINGS) as service:
        _, shown = await shop(service)
        await refreshed(service)
        store.stop()

        to_ann = await Twilio(service.http, shown["ann"], sid="CA1").ring()
        to_bob = await Twilio(service.http, shown["bob"], sid="CA2").ring()
        shared = await Twilio(service.http, SHARED, sid="CA3").ring()
        dialled, number = dial(to_ann)
        whisper = await Twilio(service.http, shown["ann"]).follow(str(number.get("url")))
        onward = await Twilio(service.http, shown["ann"], sid="CA1").follow(
            str(dialled.get("action")), DialCallStatus="no-answer"
        )

    assert (rung(to_ann), rung(to_bob), rung(shared)) == (SECOND, SHOP, SHOP)
    assert dialled.get("record") == "record-from-answer"
    assert document(whisper)[0].text == "Shop"
    assert rung(onward) == NIGHT


async def test_what_happened_is_written_when_the_store_is_back(store: Store) -> None:
    """The call with its visitor and the instant it rang, and how it ended."""
    async with serving(store.url, more=SETTINGS) as service:
        _, shown = await shop(service)
        await refreshed(service)
        store.stop()
        rang_at = service.clock.iso()
        twilio = Twilio(service.http, shown["ann"])
        dialled, _ = dial(await twilio.ring())
        await twilio.follow(
            str(dialled.get("action")), DialCallStatus="completed", DialCallDuration="64"
        )
        held = await twilio.status(CallStatus="completed", CallDuration="70")
        service.clock.advance(seconds=600)

        store.start()
        await wait_until_async(lambda: back(service), what="the store")
        await refreshed(service)

        assert_problem(held, 503, "store-unavailable")
        (call,) = await recorded(service)
        assert (call["visitor_id"], call["route_to"]) == ("ann", SECOND)
        assert (call["started_at"], call["caller"]) == (rang_at, CALLER)
        assert (call["status"], call["duration_s"]) == ("completed", 64)


async def test_the_background_writes_it_by_itself(store: Store) -> None:
    """Nobody has to ask."""
    async with serving(store.url, more=SETTINGS) as service:
        await shop(service)
        await refreshed(service)
        store.stop()
        await Twilio(service.http, ONE).ring()

        store.start()

        async def written() -> bool:
            return await back(service) and bool(await recorded(service))

        await wait_until_async(written, what="the call on record")


async def test_a_number_of_nobody_is_turned_away_as_ever(store: Store) -> None:
    """The table is whole, so what is not in it is nobody's."""
    async with serving(store.url, more=SETTINGS) as service:
        await shop(service)
        await refreshed(service)
        store.stop()

        answer = await Twilio(service.http, THREE).ring()

    assert [each.tag for each in document(answer)] == ["Reject"]


async def test_a_call_teaches_the_table(store: Store) -> None:
    """A number that was attached since the table was read is known from its first call on."""
    async with serving(store.url, more=SETTINGS) as service:
        site, _ = await shop(service)
        await refreshed(service)
        await service.admin("POST", f"/pools/{site.pool_id}/numbers", {"numbers": [THREE]})
        await site.view("eve", destinations=[SECOND])
        await Twilio(service.http, THREE, sid="CA1").ring()
        store.stop()

        assert rung(await Twilio(service.http, THREE, sid="CA2").ring()) == SECOND


async def test_rules_hold_without_the_store(store: Store) -> None:
    """A blocked caller stays blocked, and at night nobody is rung."""
    async with serving(store.url, more=SETTINGS) as service:
        week = {"days": ["friday"], "opens": "08:00", "closes": "09:00"}
        await service.pool(
            ONE,
            routing={
                "spam": {"action": "reject"}, "blocked_callers": [CALLER],
                "business_hours": {"time_zone": "UTC", "weekly": [week]},
                "after_hours": {"action": "route", "destination": NIGHT},
            },
        )  # fmt: skip
        await refreshed(service)
        store.stop()

        blocked = await Twilio(service.http, ONE).ring()
        friendly = await Twilio(service.http, ONE, caller="+16025550112", sid="CA1").ring()
        service.clock.advance(seconds=3600)
        late = await Twilio(service.http, ONE, caller="+16025550112", sid="CA2").ring()

    assert [each.tag for each in document(blocked)] == ["Reject"]
    assert (rung(friendly), rung(late)) == (SHOP, NIGHT)


async def test_before_anything_is_remembered_the_vendor_asks_its_fallback(tmp_path: Path) -> None:
    """A process that has never seen the store cannot know: 503, which vendors take as a failure."""
    async with serving(f"unix://{tmp_path}/nothing.sock", more=SETTINGS) as service:
        answer = await Twilio(service.http, ONE).ring()

    assert_problem(answer, 503, "store-unavailable")


class CalledMeanwhile(RouteStore):
    """A store where a call comes in just when the last destinations have been read."""

    table: LastKnown
    pool: Pool

    async def destinations(self, pool_id: str) -> AsyncIterator[dict[str, str]]:
        """As ever, and then the call."""
        async for found in super().destinations(pool_id):
            yield found
        self.table.note(ONE, self.pool, SECOND)


async def test_a_call_during_the_reading_of_the_table_is_not_forgotten(store: Store) -> None:
    """What it showed is newer than what was read."""
    async with serving(store.url, more=SETTINGS) as service, Connection(store.url) as connection:
        site = await service.pool(ONE, destinations=[SHOP, SECOND])
        shards = Shards(connection.execute, 4, service.clock)
        pools, routes = PoolStore(shards), CalledMeanwhile(shards)
        routes.table = LastKnown(pools=pools, routes=routes)
        routes.pool = await pools.read(site.pool_id)

        await routes.table.refresh()

        found = routes.table.find(ONE)
        assert found is not None
        assert found.destination == SECOND


async def test_the_table_is_bounded(store: Store) -> None:
    """Of more numbers than it holds some are known, and it knows that it does not know all."""
    async with (
        serving(store.url, more=SETTINGS) as service,
        Connection(store.url) as connection,
    ):
        await shop(service)
        shards = Shards(connection.execute, 4, service.clock)
        table = LastKnown(pools=PoolStore(shards), routes=RouteStore(shards), most=2)
        empty = table.whole

        await table.refresh()

        known = [number for number in (ONE, TWO, SHARED) if table.find(number) is not None]
        assert (len(known), empty, table.whole) == (2, False, False)
