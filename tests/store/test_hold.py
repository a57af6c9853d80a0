"""How long a lease lasts at least and at most, and before the tag has shown that it is one."""

from dataclasses import replace

from dni_allocator.domain.lease import Alive, Gone, Leased, Reason
from dni_allocator.domain.pool import Pool
from tests.support.rig import SERVICE, SETTINGS, SHOP, Rig, fictional

HELD = replace(SETTINGS, min_hold_s=900)
AGED = replace(SETTINGS, max_lease_age_s=1000)
ON_TRIAL = replace(SETTINGS, provisional_s=20)


async def _beat(rig: Rig, pool: Pool, visitor: str = "ann") -> Alive | Gone:
    answer = await rig.leases.heartbeat(pool, visitor_id=visitor, page_id="page")
    assert isinstance(answer, (Alive, Gone))
    return answer


async def _beat_for(rig: Rig, pool: Pool, seconds: int) -> None:
    """A page that is open that long."""
    for _ in range(seconds // 100):
        rig.clock.advance(seconds=100)
        assert await _beat(rig, pool) != Gone()


async def _ends(rig: Rig, pool: Pool) -> list[tuple[str, int, str]]:
    return [
        (event["v"], int(event["w"]), event["r"])
        for event in await rig.events(pool)
        if event["t"] == "lease.ended"
    ]


# --- minimum hold -------------------------------------------------------------------------------


async def test_a_close_does_not_end_a_lease_within_its_minimum_hold(rig: Rig) -> None:
    """Who writes the number down and closes the tab can still call it."""
    pool = await rig.pool(1, settings=HELD)
    held_until = rig.clock.now_ms + 900_000
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=10)
    await rig.leases.close(pool, visitor_id="ann", page_id="page")

    rig.clock.now_ms = held_until - 1
    (denied,) = await rig.assign(pool, "bob")
    rig.clock.advance(ms=1)
    await rig.lease(pool, "bob")

    assert denied.reason is Reason.EXHAUSTED
    assert await _ends(rig, pool) == [("ann", held_until, "closed")]


async def test_silence_does_not_end_a_lease_within_its_minimum_hold(rig: Rig) -> None:
    """The idle limit is shorter than the hold: the hold decides."""
    pool = await rig.pool(1, settings=HELD)
    held_until = rig.clock.now_ms + 900_000
    await rig.lease(pool, "ann")

    rig.clock.now_ms = held_until - 1
    assert await rig.sweeper.sweep_once() == 0
    rig.clock.advance(ms=1)
    assert await rig.sweeper.sweep_once() == 1

    assert await _ends(rig, pool) == [("ann", held_until, "idle")]


async def test_after_the_minimum_hold_the_usual_limits_are_back(rig: Rig) -> None:
    """The hold counts from the beginning of the lease, not from the last sign of life."""
    pool = await rig.pool(1, settings=HELD)
    await rig.lease(pool, "ann")
    await _beat_for(rig, pool, 900)

    assert await _beat(rig, pool) == Alive(expires_in_ms=300_000)
    closed = rig.clock.now_ms
    await rig.leases.close(pool, visitor_id="ann", page_id="page")

    rig.clock.advance(seconds=30)
    await rig.sweeper.sweep_once()
    assert await _ends(rig, pool) == [("ann", closed + 30_000, "closed")]


async def test_a_hold_longer_than_idle_limit_and_window_still_knows_its_visitor(rig: Rig) -> None:
    """The visitor's record lives as long as the lease may: back in time, they see their number."""
    settings = replace(HELD, min_hold_s=86_400, attribution_window_s=60)
    pool = await rig.pool(2, settings=settings)
    await rig.lease(pool, "ann")

    ttl = await rig.execute("PTTL", rig.shards.pool(pool.id).visitors + "ann")

    assert isinstance(ttl, int)
    assert ttl > 86_400_000


# --- maximum age --------------------------------------------------------------------------------


async def test_no_heartbeat_carries_a_lease_past_its_maximum_age(rig: Rig) -> None:
    """A kiosk that never closes its page gives the number back too; the event says why."""
    pool = await rig.pool(1, settings=AGED)
    over = rig.clock.now_ms + 1_000_000
    await rig.lease(pool, "ann")
    await _beat_for(rig, pool, 900)

    assert await _beat(rig, pool) == Alive(expires_in_ms=100_000)
    rig.clock.now_ms = over
    assert await _beat(rig, pool) == Gone()

    await rig.sweeper.sweep_once()
    assert await _ends(rig, pool) == [("ann", over, "max_age")]


async def test_the_same_visitor_gets_an_aged_number_back_as_a_new_lease(rig: Rig) -> None:
    """Nobody else wants it: the page keeps its number, the records begin anew."""
    pool = await rig.pool(3, settings=AGED)
    (first,) = await rig.assign(pool, "ann")
    await _beat_for(rig, pool, 900)
    rig.clock.advance(seconds=100)

    (second,) = await rig.assign(pool, "ann")

    assert isinstance(first, Leased)
    assert isinstance(second, Leased)
    assert second.formats == first.formats
    assert second.reason is Reason.RETURNED
    assert second.lease_id != first.lease_id
    assert second.expires_in_ms == 300_000
    assert [reason for _, _, reason in await _ends(rig, pool)] == ["max_age"]


async def test_a_page_view_renews_no_further_than_the_maximum_age(rig: Rig) -> None:
    """A page view is a sign of life like a heartbeat, and no more than that."""
    pool = await rig.pool(1, settings=AGED)
    await rig.lease(pool, "ann")
    await _beat_for(rig, pool, 900)
    rig.clock.advance(seconds=99)

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert (answer.reason, answer.expires_in_ms) == (Reason.RENEWED, 1_000)


async def test_an_aged_lease_that_fell_silent_earlier_ended_idle(rig: Rig) -> None:
    """The reason is what ended it, not what would have."""
    pool = await rig.pool(1, settings=AGED)
    silent_since = rig.clock.now_ms
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=5000)

    await rig.sweeper.sweep_once()

    assert await _ends(rig, pool) == [("ann", silent_since + 300_000, "idle")]


async def test_a_tightened_maximum_age_ends_older_leases_at_their_next_page_view(rig: Rig) -> None:
    """Now, not at the deadline that the old rules had promised: an end never lies ahead."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    await _beat_for(rig, pool, 200)
    pool = await rig.edit(pool, max_lease_age_s=100)

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert answer.reason is Reason.RETURNED
    assert await _ends(rig, pool) == [("ann", rig.clock.now_ms, "max_age")]


async def test_a_tightened_maximum_age_ends_older_leases_at_their_next_heartbeat(rig: Rig) -> None:
    """The page is never told of a deadline in the past; it ends now and asks again."""
    pool = await rig.pool(1)
    await rig.lease(pool, "ann")
    await _beat_for(rig, pool, 200)
    pool = await rig.edit(pool, max_lease_age_s=100)

    assert await _beat(rig, pool) == Alive(expires_in_ms=0)

    assert await _beat(rig, pool) == Gone()
    await rig.sweeper.sweep_once()
    assert await _ends(rig, pool) == [("ann", rig.clock.now_ms, "max_age")]


# --- provisional until the first heartbeat ------------------------------------------------------


async def test_a_first_lease_is_short_until_the_tag_has_beaten(rig: Rig) -> None:
    """What only loads a page, and never runs the tag for long, holds a number for seconds."""
    pool = await rig.pool(1, settings=ON_TRIAL)
    ends = rig.clock.now_ms + 20_000
    (first,) = await rig.assign(pool, "robot")
    rig.clock.advance(seconds=20)

    await rig.lease(pool, "ann")

    assert isinstance(first, Leased)
    assert first.expires_in_ms == 20_000
    assert await _ends(rig, pool) == [("robot", ends, "idle")]


async def test_the_first_heartbeat_makes_a_lease_a_full_one(rig: Rig) -> None:
    """And every later one of this visitor is full from the start."""
    pool = await rig.pool(2, settings=ON_TRIAL)
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=6)

    assert await _beat(rig, pool) == Alive(expires_in_ms=300_000)
    answers = await rig.assign(pool, "ann", destinations=(SHOP, SERVICE))

    lives = [answer.expires_in_ms for answer in answers if isinstance(answer, Leased)]
    assert lives == [300_000, 300_000]


async def test_a_reload_confirms_nothing(rig: Rig) -> None:
    """A crawler that loads page after page stays on trial; each page view is a sign of life."""
    pool = await rig.pool(1, settings=ON_TRIAL)
    await rig.lease(pool, "robot")
    for _ in range(3):
        rig.clock.advance(seconds=10)
        (answer,) = await rig.assign(pool, "robot")

        assert isinstance(answer, Leased)
        assert (answer.reason, answer.expires_in_ms) == (Reason.RENEWED, 20_000)


async def test_a_page_on_trial_is_told_to_beat_in_time(rig: Rig) -> None:
    """A third of the short lock, so that two lost heartbeats cost nothing."""
    pool = await rig.pool(1, settings=ON_TRIAL)

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert pool.heartbeat_within(answer.expires_in_ms) == 6
    assert pool.heartbeat_within(300_000) == 60


async def test_closing_never_lengthens_a_lease_on_trial(rig: Rig) -> None:
    """The closed-browser delay is longer than the trial here, and changes nothing."""
    pool = await rig.pool(1, settings=ON_TRIAL)
    ends = rig.clock.now_ms + 20_000
    await rig.lease(pool, "ann")
    rig.clock.advance(seconds=5)
    await rig.leases.close(pool, visitor_id="ann", page_id="page")

    rig.clock.advance(seconds=15)
    await rig.sweeper.sweep_once()

    assert await _ends(rig, pool) == [("ann", ends, "closed")]


async def test_a_trial_begins_anew_when_the_visitor_was_forgotten(rig: Rig) -> None:
    """Who beat long ago is known no longer than anything else of them."""
    pool = await rig.pool(fictional(1), settings=ON_TRIAL)
    await rig.lease(pool, "ann")
    await _beat(rig, pool)
    rig.clock.advance(seconds=301)
    await rig.sweeper.sweep_once()
    # Its TTL runs on the server's clock, which no test drives.
    await rig.execute("DEL", rig.shards.pool(pool.id).visitors + "ann")

    (answer,) = await rig.assign(pool, "ann")

    assert isinstance(answer, Leased)
    assert answer.expires_in_ms == 20_000
