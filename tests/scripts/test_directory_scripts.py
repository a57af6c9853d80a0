"""directory_claim.lua, directory_release.lua and admin_key_put.lua: the global records."""

from dni_allocator.store import keys
from tests.support.raw import call
from tests.support.rig import Rig

NUMBER = "+16025550100"


async def _claim(rig: Rig, claim: str, *, abandoned: str = "") -> list[str]:
    entry = keys.number_directory(NUMBER)
    return await call(rig, "directory_claim", entry=entry, claim=claim, abandoned=abandoned)


async def _release(rig: Rig, claim: str, *, former: str = "", window: int = 0) -> list[str]:
    entry = keys.number_directory(NUMBER)
    return await call(
        rig, "directory_release", entry=entry, claim=claim, former=former, window=window
    )


async def _entry(rig: Rig) -> object:
    return await rig.execute("GET", keys.number_directory(NUMBER))


async def test_claim_ok_and_again(rig: Rig) -> None:
    """The first claim wins, and may be repeated by the one who made it."""
    assert await _claim(rig, "=pool_a") == ["OK"]
    assert await _claim(rig, "=pool_a") == ["OK"]


async def test_claim_taken(rig: Rig) -> None:
    """A number in a pool, in whatever role, is nobody else's."""
    await _claim(rig, "+pool_a")

    assert await _claim(rig, "=pool_b") == ["TAKEN", "+pool_a"]
    assert await _claim(rig, "=pool_a") == ["TAKEN", "+pool_a"]
    assert await _entry(rig) == b"+pool_a"


async def test_claim_of_a_former_number_ends_its_memory(rig: Rig) -> None:
    """A number that left may be taken by anyone, and then belongs to them without limit."""
    await _claim(rig, "=pool_a")
    await _release(rig, "=pool_a", former="~pool_a", window=60_000)

    assert await _claim(rig, "=pool_b") == ["OK"]
    assert await rig.execute("PTTL", keys.number_directory(NUMBER)) == -1


async def test_claim_of_an_abandoned_number(rig: Rig) -> None:
    """The caller has seen that the owner's pool is gone; only that very claim is replaced."""
    await _claim(rig, "=pool_a")

    assert await _claim(rig, "=pool_b", abandoned="=pool_c") == ["TAKEN", "=pool_a"]
    assert await _claim(rig, "=pool_b", abandoned="=pool_a") == ["OK"]


async def test_release_forgets_or_remembers(rig: Rig) -> None:
    """Released with a window the entry answers on and ends by itself; without, it is gone."""
    await _claim(rig, "=pool_a")
    assert await _release(rig, "=pool_a", former="~pool_a", window=60_000) == ["OK"]
    assert await _entry(rig) == b"~pool_a"
    ttl = await rig.execute("PTTL", keys.number_directory(NUMBER))
    assert isinstance(ttl, int)
    assert 0 < ttl <= 60_000

    await _claim(rig, "=pool_a")
    assert await _release(rig, "=pool_a") == ["OK"]
    assert await _entry(rig) is None


async def test_release_kept_when_it_is_no_longer_theirs(rig: Rig) -> None:
    """A release that comes late, or twice, takes nothing from the next owner."""
    await _claim(rig, "=pool_a")
    await _release(rig, "=pool_a")
    await _claim(rig, "=pool_b")

    assert await _release(rig, "=pool_a") == ["KEPT"]
    assert await _entry(rig) == b"=pool_b"


async def test_admin_key_set_once_and_kept(rig: Rig) -> None:
    """Of many processes that start at once one makes the key; the others find it."""
    assert await call(rig, "admin_key_put", digest="d1", record="r1", replace=0) == ["SET"]
    assert await call(rig, "admin_key_put", digest="d1", record="r1", replace=0) == ["SET"]
    assert await call(rig, "admin_key_put", digest="d2", record="r2", replace=0) == ["KEPT"]
    assert await rig.execute("HGET", keys.ADMIN_KEYS, "d2") is None


async def test_admin_key_replaced(rig: Rig) -> None:
    """A new key closes the door of the old one in the same step."""
    await call(rig, "admin_key_put", digest="d1", record="r1", replace=0)

    assert await call(rig, "admin_key_put", digest="d2", record="r2", replace=1) == ["SET"]

    assert await rig.execute("HGET", keys.ADMIN_KEYS, "d1") is None
    assert await rig.execute("HGET", keys.ADMIN_KEYS, "d2") == b"r2"
