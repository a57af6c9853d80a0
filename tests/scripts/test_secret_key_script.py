"""secret_key_put.lua: which secrets open a key."""

from dni_allocator.store import keys
from tests.support.raw import call
from tests.support.rig import Rig

ONE, TWO = "1" * 64, "2" * 64


async def _put(rig: Rig, *rows: str, seen: str = "", seen_record: str = "") -> list[str]:
    return await call(
        rig, "secret_key_put", rest=rows, key_id="key_a", seen=seen, seen_record=seen_record
    )


async def _stored(rig: Rig) -> dict[bytes, bytes]:
    reply = await rig.execute("HGETALL", keys.ADMIN_KEYS)
    if isinstance(reply, dict):
        return reply
    assert isinstance(reply, list)
    return dict(zip(reply[::2], reply[1::2], strict=True))


async def test_put_ok_and_again(rig: Rig) -> None:
    """A new key; a second run, after a lost reply, changes nothing."""
    assert await _put(rig, ONE, "record") == ["OK"]
    assert await _put(rig, ONE, "record") == ["OK"]

    assert await _stored(rig) == {b"key_a": ONE.encode(), ONE.encode(): b"record"}


async def test_put_replaces_all_secrets_of_a_key(rig: Rig) -> None:
    """A rotation writes the new secret before the old one, and drops what is not named."""
    await _put(rig, ONE, "first")

    assert await _put(rig, TWO, "second", seen=ONE, seen_record="first") == ["OK"]

    assert await _stored(rig) == {b"key_a": TWO.encode(), TWO.encode(): b"second"}


async def test_put_nothing_revokes(rig: Rig) -> None:
    """Without a row the key is gone, and stays gone in a second run."""
    await _put(rig, ONE, "first")

    assert await _put(rig, seen=ONE, seen_record="first") == ["OK"]
    assert await _put(rig, seen=ONE, seen_record="first") == ["OK"]

    assert await _stored(rig) == {}


async def test_put_conflict(rig: Rig) -> None:
    """Whoever read the key before somebody else changed it writes nothing."""
    await _put(rig, ONE, "first")

    assert await _put(rig, ONE, "mine", seen=ONE, seen_record="older") == ["CONFLICT"]
    assert await _put(rig, TWO, "mine", seen="", seen_record="") == ["CONFLICT"]

    assert await _stored(rig) == {b"key_a": ONE.encode(), ONE.encode(): b"first"}
