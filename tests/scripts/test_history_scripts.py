"""history_fold.lua: {OK}, {MOVED}; history_sample.lua: {OK}."""

from dni_allocator.domain.pool import LONGEST_WINDOW_S
from dni_allocator.store.keys import ShardKeys, shard_of
from dni_allocator.store.scripts import Value
from tests.support.raw import call
from tests.support.rig import SETTINGS, Rig, fictional

SHARD = ShardKeys(shard_of("pool_a", shards=4))
MINUTE = 30_000_000
ROW: list[Value] = ["pool_a", MINUTE, "3 1 2 0 0 90000", "16:2"]
HOUR_KEY = f"{SHARD.history}pool_a:m:{MINUTE // 60}"
DAY_KEY = f"{SHARD.history}pool_a:h:{MINUTE // 60 // 24}"


async def _field(rig: Rig, key: str) -> str:
    """The one bucket of a HASH."""
    found = await rig.execute("HVALS", key)
    assert isinstance(found, list)
    (packed,) = found
    return str(packed.decode())


async def test_ok_adds_to_the_minute_and_to_its_hour(rig: Rig) -> None:
    """The hour keeps the gaps, and how many came in its busiest minute."""
    assert await call(
        rig, "history_fold", was="", becomes="1-0", history=SHARD.history, rest=ROW
    ) == ["OK"]

    assert await call(
        rig, "history_fold", was="1-0", becomes="2-0", history=SHARD.history, rest=ROW
    ) == ["OK"]

    assert await _field(rig, HOUR_KEY) == "6 2 4 0 0 180000 0 0 0 0 0 0 0"
    assert await _field(rig, DAY_KEY) == "6 2 4 0 0 180000 0 0 0 0 0 0 6|16:4"


async def test_ok_keeps_buckets_for_a_while_only(rig: Rig) -> None:
    """Nothing has to clear them away."""
    reply = await call(
        rig, "history_fold", history=SHARD.history, rest=ROW, minutes_kept=1000, hours_kept=2000,
        was="", becomes="1-0",
    )  # fmt: skip

    minutes, hours = [await rig.execute("PTTL", key) for key in (HOUR_KEY, DAY_KEY)]
    assert reply == ["OK"]
    assert isinstance(minutes, int)
    assert isinstance(hours, int)
    assert 0 < minutes <= 1000 < hours <= 2000


async def test_moved_counts_nothing_twice(rig: Rig) -> None:
    """Two collectors that meet, and a reply that was lost."""
    await call(rig, "history_fold", was="", becomes="1-0", history=SHARD.history, rest=ROW)

    again = await call(rig, "history_fold", was="", becomes="1-0", history=SHARD.history, rest=ROW)

    assert again == ["MOVED"]
    assert await _field(rig, HOUR_KEY) == "3 1 2 0 0 90000 0 0 0 0 0 0 0"
    assert await rig.execute("GET", SHARD.history_position) == b"1-0"


async def test_ok_notes_only_pools_in_use(rig: Rig) -> None:
    """A thousand idle pools cost no memory."""
    await rig.pool(2)

    reply = await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"])

    assert reply == ["OK", "0"]
    assert await rig.execute("KEYS", f"{SHARD.history}*:[mh]:*".replace("{", "\\{")) == []


async def test_ok_notes_what_is_leased_and_goes_on_when_all_left(rig: Rig) -> None:
    """So the mean of the hour is one of its quiet minutes too."""
    pool = await rig.pool(3)
    await rig.lease(pool, "ann")
    assert await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"]) == ["OK", "1"]
    rig.clock.advance(seconds=SETTINGS.idle_limit_s + 1)
    await rig.sweeper.sweep_once()
    rig.clock.advance(seconds=-SETTINGS.idle_limit_s)

    reply = await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"])

    assert reply == ["OK", "1"]
    at = rig.clock.now_ms // 3_600_000
    assert await _field(rig, f"{SHARD.history}pool_a:m:{at}") == "0 0 0 0 0 0 0 0 2 1 6 1 0"


async def test_ok_counts_refusals_since_the_last_look(rig: Rig) -> None:
    """They have no event; the pool's counters tell, but for what was before the first look."""
    pool = await rig.pool(1)
    assert pool.window_ms == LONGEST_WINDOW_S * 1000
    await rig.lease(pool, "ann")
    await rig.assign(pool, "before anybody looked")
    await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"])
    for visitor in ("bob", "cid"):
        await rig.assign(pool, visitor)

    for _ in range(2):
        await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"])

    at = rig.clock.now_ms // 3_600_000
    assert await _field(rig, f"{SHARD.history}pool_a:m:{at}") == "0 0 0 0 0 0 0 2 3 3 3 1 0"


async def test_ok_takes_numbers_in_quarantine_for_no_numbers(rig: Rig) -> None:
    """Nobody can be given one."""
    pool = await rig.pool(fictional(2))
    await call(rig, "number_quarantine", number=fictional(2)[1], ends_at="+inf", reason='"x"')
    await rig.lease(pool, "ann")

    await call(rig, "history_sample", history=SHARD.history, rest=["pool_a"])

    at = rig.clock.now_ms // 3_600_000
    assert await _field(rig, f"{SHARD.history}pool_a:m:{at}") == "0 0 0 0 0 0 0 0 1 1 1 1 0"
