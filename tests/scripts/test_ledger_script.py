"""ledger_put.lua: records of orders, releases and decisions, with their spending and events."""

from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Value
from tests.support.raw import call
from tests.support.rig import Rig


async def _put(
    rig: Rig,
    record: str = "one",
    *,
    record_id: str = "pur_a_1",
    seen: str = "",
    event: tuple[str, ...] = (),
    **given: Value,
) -> list[str]:
    shard = rig.shards.pool("pool_a").shard
    values: dict[str, Value] = {
        "records": shard.ledger("purchases"),
        "log": shard.ledger_log("purchases"),
        "open": shard.ledger_open("purchases"),
        "upkeep": rig.shards.pool("pool_a").upkeep,
        "id": record_id, "record": record, "seen": seen, "created": 5, "look_at": 7,
        "month": "2027-01", "held": 0, "released": 0, "upfront": 0, "latest": "", "keep": 100,
    }  # fmt: skip
    # mypy cannot tell the values of a ** mapping from the named parameters of `call`.
    return await call(rig, "ledger_put", rest=event, **{**values, **given})  # type: ignore[arg-type]


def _shard(rig: Rig) -> ShardKeys:
    return rig.shards.pool("pool_a").shard


async def test_ok_and_again(rig: Rig) -> None:
    """A record, when to look at it, spending and event in one step; a second run adds nothing."""
    pool = await rig.pool([])
    event = ("t", "purchase.ended", "p", "pool_a")

    for _ in range(2):
        assert await _put(
            rig, look_at="", held=1_150_000, upfront=500_000, latest="grow", event=event
        ) == ["OK"]

    upkeep = mapping(await rig.execute("HGETALL", rig.shards.pool("pool_a").upkeep))
    assert upkeep == {"held": "1150000", "upfront:2027-01": "500000", "grow": "pur_a_1"}
    assert await rig.execute("ZCARD", _shard(rig).ledger_open("purchases")) == 0
    assert [each["t"] for each in await rig.events(pool)] == ["purchase.ended"]
    assert (await rig.events(pool))[0]["w"] == rig.clock()


async def test_exists_answers_what_is_there(rig: Rig) -> None:
    """A new record under an id that is taken: its writer goes on with the one there is."""
    await rig.pool([])
    await _put(rig, "one")

    assert await _put(rig, "two") == ["EXISTS", "one"]


async def test_conflict_when_somebody_else_was_quicker(rig: Rig) -> None:
    """Nothing is written, nothing is spent."""
    await rig.pool([])
    await _put(rig, "one")
    await _put(rig, "two", seen="one")

    assert await _put(rig, "three", seen="one", held=5) == ["CONFLICT"]
    assert await _put(rig, "x", record_id="pur_a_gone", seen="one") == ["CONFLICT"]

    assert await rig.execute("HGET", _shard(rig).ledger("purchases"), "pur_a_1") == b"two"
    assert await rig.execute("EXISTS", rig.shards.pool("pool_a").upkeep) == 0


async def test_nothing_is_spent_for_a_pool_that_is_gone(rig: Rig) -> None:
    """No books are left behind; the record is."""
    assert await _put(rig, held=5, released=6, upfront=7, latest="grow") == ["OK"]

    assert await rig.execute("EXISTS", rig.shards.pool("pool_a").upkeep) == 0


async def test_the_oldest_closed_records_go(rig: Rig) -> None:
    """What is open stays, however old it is."""
    await rig.pool([])
    await _put(rig, record_id="pur_a_open", created=1)
    for at in range(4):
        await _put(rig, record_id=f"pur_a_{at}", created=10 + at, look_at="", keep=3)

    kept = await rig.execute("ZRANGE", _shard(rig).ledger_log("purchases"), 0, -1)
    assert kept == [b"pur_a_open", b"pur_a_2", b"pur_a_3"]
    assert await rig.execute("HLEN", _shard(rig).ledger("purchases")) == 3


async def test_a_deleted_pool_takes_its_books_along(rig: Rig) -> None:
    """What its numbers cost is nobody's business any more."""
    pool = await rig.pool([])
    await _put(rig, held=5)

    await rig.pools.delete_some(pool, force=False)

    assert await rig.execute("EXISTS", rig.shards.pool("pool_a").upkeep) == 0


async def test_rules_of_scaling_ok_and_forgotten(rig: Rig) -> None:
    """The pool is on the list of those that scale while it has rules; twice is once."""
    await rig.pool([])
    at = rig.shards.pool("pool_a")

    for rules, listed in (("{}", 1), ("{}", 1), ("", 0), ("", 0)):
        reply = await call(
            rig, "scaling_rules_put", upkeep=at.upkeep, scaled=at.shard.scaled, rules=rules
        )
        assert reply == ["OK"]
        assert await rig.execute("SCARD", at.shard.scaled) == listed
        assert await rig.execute("HEXISTS", at.upkeep, "rules") == listed


async def test_rules_of_scaling_gone(rig: Rig) -> None:
    """A pool that was deleted is on the list no more."""
    at = rig.shards.pool("pool_a")
    await rig.execute("SADD", at.shard.scaled, "pool_a")

    reply = await call(
        rig, "scaling_rules_put", upkeep=at.upkeep, scaled=at.shard.scaled, rules="{}"
    )

    assert reply == ["GONE"]
    assert await rig.execute("EXISTS", at.shard.scaled, at.upkeep) == 0
