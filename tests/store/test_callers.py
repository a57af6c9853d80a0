"""Callers, remembered by a keyed hash: whose key it is, how long, and that it can be off."""

import hashlib
import hmac

from dni_allocator.domain.call import NewCall
from dni_allocator.services.attribution import AttributionService
from dni_allocator.services.callers import Callers
from dni_allocator.services.calls import Calls
from dni_allocator.store.calls import CallStore
from dni_allocator.store.traffic_sources import TrafficSourceStore
from tests.support.rig import DAY_MS, Rig

PHONE = "+14155550177"


async def test_processes_share_the_key_that_the_store_keeps(rig: Rig) -> None:
    """Whichever process makes it, all of them know a caller by the same hash."""
    first, second = Callers(rig.call_store), Callers(rig.call_store)

    one = await first.known("pool_a", PHONE, at_ms=0)
    other = await second.known("pool_a", PHONE, at_ms=0)

    assert one is not None
    assert one == other


async def test_a_configured_key_is_the_key(rig: Rig) -> None:
    """`DNI_CALLER_KEY`: HMAC-SHA-256 of the number, half of it; another key knows nobody."""
    known = await Callers(rig.call_store, key="k" * 16).known("pool_a", PHONE, at_ms=0)
    others = await Callers(rig.call_store, key="l" * 16).known("pool_a", PHONE, at_ms=0)

    assert known is not None
    assert others is not None
    assert known.digest == hmac.new(b"k" * 16, PHONE.encode(), hashlib.sha256).hexdigest()[:32]
    assert known.digest != others.digest
    assert await rig.execute("HGET", "dni:meta", "caller_key") is None


async def test_nobody_is_remembered_who_withholds_the_number(rig: Rig) -> None:
    """There is nothing to know them by."""
    assert await Callers(rig.call_store).known("pool_a", None, at_ms=0) is None


async def test_the_memory_may_be_off(rig: Rig) -> None:
    """`DNI_CALLER_MEMORY_DAYS=0`: calls are recorded, callers are not remembered."""
    pool = await rig.pool(1)
    number = await rig.lease(pool, "ann")
    store = CallStore(rig.shards, retention_ms=DAY_MS, memory_ms=0)
    attribution = AttributionService(
        directory=rig.directory,
        pools=rig.pools,
        leases=rig.leases,
        callers=Callers(store),
        sources=TrafficSourceStore(rig.execute),
    )
    calls = Calls(store=store, attribution=attribution, pools=rig.pools)

    started = await calls.start(NewCall(number=number, caller=PHONE))

    assert (started.call.caller, started.call.first_time_caller) == (PHONE, False)
    assert await rig.execute("KEYS", "*:caller:*") == []


async def test_a_caller_is_forgotten_after_their_memory(rig: Rig) -> None:
    """30 days after a call it plays no part any more, even if they called elsewhere since."""
    pool = await rig.pool(2)
    first = await rig.lease(pool, "ann")
    second = await rig.lease(pool, "bob")
    await rig.calls.start(NewCall(number=first, caller=PHONE))
    rig.clock.advance(ms=20 * DAY_MS)
    assert (await rig.attribution.attribute(first, caller=PHONE)).basis.value == "caller_memory"
    await rig.calls.start(NewCall(number=second, caller=PHONE))

    rig.clock.advance(ms=10 * DAY_MS + 1)
    found = await rig.attribution.attribute(first, caller=PHONE)

    assert [each.reason for each in found.candidates] == [
        "This caller dialed another number of the pool 10 d before, and was taken for this visitor."
    ]
