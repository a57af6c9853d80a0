"""call_start, call_edit, call_read: what each replies, and that a second run changes nothing."""

from dni_allocator.store.scripts import Value
from tests.support.raw import call
from tests.support.rig import Rig

CALL = "call_a_0123456789abcdef"
WHO = "ab" * 16
EVENT = ["4", "t", "call.started", "w", "1"]


async def start(rig: Rig, **given: Value) -> list[str]:
    """Record a call of ann's number."""
    known: dict[str, Value] = {
        "call_id": CALL, "document": '{"a":1}', "started": rig.clock.now_ms,
        "retention": 1000, "number": "+16025550100", "fence": "1", "hold_until": 0,
        "note": "", "known": "", "memory": "", "overwrites": "0", "keep": 1000,
        "who": CALL, "enough": 0, "leak": "",
    }  # fmt: skip
    values = {**known, **given}
    return await call(rig, "call_start", pool_id="pool_a", rest=EVENT, **values)


async def edit(rig: Rig, *, seen: str, document: str) -> list[str]:
    """Replace it."""
    return await call(
        rig,
        "call_edit",
        rest=EVENT,
        seen=seen,
        document=document,
        number="+16025550100",
        fence="1",
        hold_until=0,
        note="",
        call_id=CALL,
    )


async def test_started_then_known(rig: Rig) -> None:
    """The second run finds what the first one wrote, and tells nothing again."""
    pool = await rig.pool(1)

    assert await start(rig) == ["STARTED"]
    assert await start(rig, document='{"a":2}') == ["KNOWN", '{"a":1}']
    assert [event["t"] for event in await rig.events(pool)] == ["call.started"]


async def test_stale_when_the_caller_became_known(rig: Rig) -> None:
    """Two first calls of one person at once: the second one is read again."""
    await rig.pool(1)
    first: dict[str, Value] = {"caller_hash": WHO, "known": "0", "memory": "1\t0\t", "keep": 10_000}

    assert await start(rig, **first) == ["STARTED"]
    again = {**first, "call_id": CALL[:-1] + "0"}
    assert await start(rig, **again) == ["STALE"]
    assert await start(rig, **again | {"known": "1"}) == ["STARTED"]


async def test_gone_without_the_pool(rig: Rig) -> None:
    """A pool that was deleted records nothing."""
    assert await start(rig) == ["GONE"]


async def test_a_caller_is_remembered_for_eight_numbers(rig: Rig) -> None:
    """However much one phone dials, what is known of it stays small; the latest stay."""
    await rig.pool(1)
    for at in range(10):
        await start(
            rig, call_id=f"{CALL[:-1]}{at}", caller_hash=WHO, known="0" if at == 0 else "1",
            number=f"+1602555010{at}", memory=f"{at}\t0\t", keep=10_000,
        )  # fmt: skip

    found = await rig.execute("HKEYS", f"{rig.shards.pool('pool_a').callers}{WHO}")

    assert isinstance(found, list)
    assert sorted(found) == [f"+1602555010{at}".encode() for at in range(2, 10)]


async def test_calls_that_are_over_leave_the_lists(rig: Rig) -> None:
    """The lists do not outgrow what is kept."""
    await rig.pool(1)
    await start(rig)
    rig.clock.advance(seconds=2)
    other = CALL[:-1] + "0"

    await start(rig, call_id=other)

    at = rig.shards.pool("pool_a")
    for key in (at.calls, at.shard.calls):
        assert await rig.execute("ZRANGE", key, 0, -1) == [other.encode()]


async def test_edited_conflicting_and_gone(rig: Rig) -> None:
    """Only what was read is replaced; the same again is fine and silent."""
    pool = await rig.pool(1)
    assert await edit(rig, seen="{}", document="{}") == ["GONE"]
    await start(rig)

    assert await edit(rig, seen='{"a":0}', document='{"a":2}') == ["CONFLICT", '{"a":1}']
    assert await edit(rig, seen='{"a":1}', document='{"a":2}') == ["OK"]
    assert await edit(rig, seen='{"a":1}', document='{"a":2}') == ["OK"]
    assert len(await rig.events(pool)) == 2


async def test_read(rig: Rig) -> None:
    """The instant, and the call, if there is one."""
    await rig.pool(1)
    now = rig.clock()

    assert await call(rig, "call_read", call_id=CALL) == ["NONE", now]
    await start(rig)
    assert await call(rig, "call_read", call_id=CALL) == ["OK", now, '{"a":1}']
