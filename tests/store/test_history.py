"""History as the collector makes it of what visitors did."""

import pytest

from dni_allocator.domain.errors import InvalidRequest, PoolUnknown
from dni_allocator.domain.history import HOUR_MS, Bucket, Resolution, joined
from dni_allocator.domain.pool import Pool
from dni_allocator.services.history import Historian, History
from dni_allocator.store.history import HistoryStore
from tests.support.rig import Rig

HOUR = Resolution.HOUR
MINUTE = Resolution.MINUTE


async def collect(rig: Rig) -> None:
    """A round of a collector that has just started."""
    await Historian(HistoryStore(rig.shards)).round()
    for shard in rig.shards.all():
        await rig.execute("DEL", shard.history_lock)


def history(rig: Rig) -> History:
    """The use case."""
    return History(store=HistoryStore(rig.shards), pools=rig.pools)


async def total(rig: Rig, pool: Pool, resolution: Resolution = HOUR) -> Bucket:
    """All that is known of the last hours, as one bucket."""
    end_ms = rig.clock.now_ms + 1
    span = await history(rig).of(pool.id, resolution, start_ms=end_ms - 24 * HOUR_MS, end_ms=end_ms)
    return joined(span.buckets)


async def visit(rig: Rig, pool: Pool, visitor: str, *, seconds: int, beacon: bool = True) -> None:
    """Somebody looks at one page for a while, and leaves."""
    await rig.assign(pool, visitor)
    rig.clock.advance(seconds=seconds)
    if beacon:
        await rig.leases.close(pool, visitor_id=visitor, page_id="page")
    rig.clock.advance(seconds=400)
    await rig.sweeper.sweep_once()


@pytest.mark.parametrize("resolution", Resolution)
async def test_visits_become_arrivals_holds_and_ends(rig: Rig, resolution: Resolution) -> None:
    """With the lock after the last page, and the whole idle limit where the beacon was lost."""
    pool = await rig.pool(3)
    await visit(rig, pool, "ann", seconds=60)
    await visit(rig, pool, "bob", seconds=60, beacon=False)

    await collect(rig)

    found = await total(rig, pool, resolution)
    assert (found.arrivals, found.closed, found.idle) == (2, 1, 1)
    assert found.mean_hold_s == ((60 + 30) + 300) / 2
    assert found.lost_beacons == 0.5


async def test_the_reuse_gap_is_from_the_end_to_the_next_visitor(rig: Rig) -> None:
    """The end is when the lock was over, not when somebody noticed."""
    pool = await rig.pool(1)
    await visit(rig, pool, "ann", seconds=60)  # ends 90 s after it began, noticed at 460 s
    await visit(rig, pool, "ann", seconds=60)  # the same visitor: nobody else saw it
    await visit(rig, pool, "bob", seconds=60)

    await collect(rig)

    found = await total(rig, pool)
    assert sum(found.gaps.values()) == 1
    assert found.gap_quantile_s(0.5) == pytest.approx(370, rel=0.2)
    assert found.returned == 1


async def test_nothing_is_counted_twice_however_often_one_collects(rig: Rig) -> None:
    """Rounds of several processes over the same events."""
    pool = await rig.pool(3)
    await visit(rig, pool, "ann", seconds=10)
    await collect(rig)
    first = await total(rig, pool)
    await collect(rig)
    await visit(rig, pool, "bob", seconds=10)

    await collect(rig)

    found = await total(rig, pool)
    assert (first.arrivals, found.arrivals, found.ended) == (1, 2, 2)


async def test_many_events_are_read_in_parts(rig: Rig) -> None:
    """A collector that was away for long does not stop the process that serves."""
    pool = await rig.pool(410)
    for at in range(410):
        await rig.assign(pool, f"visitor-{at}")

    await collect(rig)

    assert (await total(rig, pool)).arrivals == 410


async def test_one_collector_at_a_time(rig: Rig) -> None:
    """The other one leaves the shard alone while the first is alive."""
    pool = await rig.pool(1)
    first, second = Historian(HistoryStore(rig.shards)), Historian(HistoryStore(rig.shards))
    await first.round()
    await rig.assign(pool, "ann")

    await second.round()
    nothing = await total(rig, pool)
    await first.round()

    assert nothing.arrivals == 0
    assert (await total(rig, pool)).arrivals == 1


async def test_those_who_got_no_number_are_counted(rig: Rig) -> None:
    """Without them the load of a pool that is too small looks like that of one that is not."""
    pool = await rig.pool(1)
    await collect(rig)
    for visitor in ("ann", "bob", "cid"):
        await rig.assign(pool, visitor)

    await collect(rig)

    found = await total(rig, pool)
    assert (found.arrivals, found.turned_away, found.offered) == (1, 2, 3)
    assert found.busiest_minute == (await total(rig, pool, MINUTE)).busiest_minute == 1
    assert (found.leased_mean, found.leased_peak, found.numbers_mean) == (1, 1, 1)


async def test_a_span_has_no_hole_and_ends_with_the_bucket_under_way(rig: Rig) -> None:
    """What draws it need not fill anything in."""
    pool = await rig.pool(1)
    await rig.assign(pool, "ann")
    await collect(rig)

    span = await history(rig).of(pool.id, MINUTE)

    starts = [bucket.start_ms for bucket in span.buckets]
    assert starts == list(range(span.start_ms, span.end_ms, 60_000))
    assert len(starts) == 60
    assert starts[-1] <= rig.clock.now_ms < span.end_ms
    assert [bucket.arrivals for bucket in span.buckets][-1] == 1


async def test_a_span_is_cut_to_what_is_kept(rig: Rig) -> None:
    """Nobody can make the service write out a million empty minutes."""
    pool = await rig.pool(1)

    past = await history(rig).of(pool.id, MINUTE, start_ms=0)
    future = await history(rig).of(pool.id, MINUTE, start_ms=rig.clock.now_ms + 10 * HOUR_MS)
    long_ago = await history(rig).of(pool.id, MINUTE, start_ms=0, end_ms=HOUR_MS)

    assert len(past.buckets) == 48 * 60 + 1
    assert future.buckets == ()
    assert long_ago.buckets == ()


async def test_a_bad_span_is_refused(rig: Rig) -> None:
    """And so is one of a pool that does not exist."""
    pool = await rig.pool(1)

    with pytest.raises(InvalidRequest):
        await history(rig).of(pool.id, MINUTE, start_ms=2, end_ms=2)
    with pytest.raises(PoolUnknown):
        await history(rig).of("pool_b", MINUTE)


async def test_events_nobody_understands_are_passed_over(rig: Rig) -> None:
    """Those of other versions, and those about no lease."""
    pool = await rig.pool(1)
    events = rig.shards.pool(pool.id).shard.events
    await rig.execute("XADD", events, "*", "t", "number.assigned", "p", pool.id, "w", "soon")
    await rig.execute("XADD", events, "*", "t", "endpoint.disabled")
    await rig.execute("XADD", events, "*", "t", "lease.ended", "w", "1")
    await rig.assign(pool, "ann")

    await collect(rig)

    assert (await total(rig, pool)).arrivals == 1
