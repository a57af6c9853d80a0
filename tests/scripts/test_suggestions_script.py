"""suggestions_note.lua: {OK}, {GONE}."""

from tests.support.raw import call
from tests.support.rig import SERVICE, SHOP, Rig

MONTH_MS = 30 * 86_400_000


async def _kept(rig: Rig) -> object:
    return await rig.execute("ZRANGE", rig.shards.pool("pool_a").suggested, 0, -1)


async def test_ok_keeps_when_each_was_seen_last(rig: Rig) -> None:
    """The same destination again is the same suggestion, only later."""
    await rig.pool(0)
    assert await call(rig, "suggestions_note", most=10, rest=[SHOP, SERVICE]) == ["OK"]
    later = rig.clock.advance(seconds=1)

    assert await call(rig, "suggestions_note", most=10, rest=[SHOP]) == ["OK"]

    assert await _kept(rig) == [SERVICE.encode(), SHOP.encode()]
    suggested = rig.shards.pool("pool_a").suggested
    assert await rig.execute("ZSCORE", suggested, SHOP) == later


async def test_ok_keeps_the_latest_only(rig: Rig) -> None:
    """Whoever has the publishable key can make some up: there is an end to them."""
    await rig.pool(0)
    shown = [f"+1602555010{n}" for n in range(5)]
    for each in shown:
        await call(rig, "suggestions_note", most=3, rest=[each])
        rig.clock.advance(ms=1)

    assert await _kept(rig) == [each.encode() for each in shown[2:]]


async def test_ok_forgets_after_a_month(rig: Rig) -> None:
    """What nobody shows any more goes by itself."""
    await rig.pool(0)

    await call(rig, "suggestions_note", most=3, rest=[SHOP])

    ttl = await rig.execute("PTTL", rig.shards.pool("pool_a").suggested)
    assert isinstance(ttl, int)
    assert MONTH_MS - 60_000 < ttl <= MONTH_MS


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A deleted pool gets no suggestions."""
    assert await call(rig, "suggestions_note", most=3, rest=[SHOP]) == ["GONE"]
    assert await _kept(rig) == []
