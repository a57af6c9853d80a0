"""Every Lua script with arguments nobody sends: texts for numbers, tabs, bytes, too few rows.

The callers check what they pass (their tests say so). Should one ever fail to, a script may refuse
with an error; it must not crash the server, keep it busy, or touch keys of others.
"""

from contextlib import suppress
from importlib.resources import files
from typing import Any, Final

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import given
from redis.exceptions import ResponseError

from dni_allocator.store.scripts import Script, load
from tests.support.fuzzing import EXAMPLES, Count, fuzz

SCRIPTS: Final = sorted(
    each.name.removesuffix(".lua")
    for each in (files("dni_allocator.store") / "lua").iterdir()
    if each.name.endswith(".lua")
)
SHARD: Final = "dni:{s0}:"
OURS: Final = f"{SHARD}pool_a:"
FOREIGN: Final = {
    f"{SHARD}pool_b:conf": {"rev": "1", "fence": "0"},
    f"{SHARD}pool_b:holders": {"+16025550100": "ann\t+16023133897\t1\t1\t"},
    "dni:{s1}:pool_c:conf": {"rev": "1"},
}
"""What lies beside the keys a script is given, and must be there afterwards as it was."""

BYTES: Final = st.one_of(
    st.sampled_from(
        [b"", b"0", b"1", b"-1", b"1e3", b"1e308", b"-1e308", b"nan", b"inf", b"-inf", b"0x10",
         b"1.5", b"9" * 17, b"9" * 400, b"\t", b"\n", b"\x00", b"a\tb\tc\td\te\tf", b"\xff\xfe",
         b"%s%d%", b"..", b"*", b"{s1}", b"+16025550100", b"ann", b"leased", b"GONE", b"[]",
         b'{"t":1}', b"1-1", b"0-0", b"$", b"(", b"+", b"\t".join([b"1"] * 14)]
    ),
    st.integers(-(2**63), 2**63).map(lambda n: str(n).encode()),
    st.binary(max_size=40),
)  # fmt: skip


def _keys_of(script: Script) -> list[str]:
    """Keys of one shard and one pool, whatever they are called; prefixes end as prefixes do."""
    return [f"{OURS}{name}:" if name in _PREFIXES else f"{OURS}{name}" for name in script.keys]


_PREFIXES: Final = frozenset(
    {"pool", "free", "past", "visitors", "limits", "callers", "history", "prefix", "tag"}
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_argument_harms_the_server(name: str, redis_url: str, count: Count) -> None:
    """An answer or an error within the client's patience, and all other keys are as they were."""
    script = load(name)
    wanted = len(script.args)

    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        for key, fields in FOREIGN.items():
            client.hset(key, mapping=fields)
        before = {key: client.hgetall(key) for key in FOREIGN}
        run = client.register_script(script.source)

        @fuzz(max(10, EXAMPLES // 20))
        @given(
            told=st.lists(BYTES, min_size=wanted, max_size=wanted + 8),
            there=st.booleans(),
        )
        def check(told: list[bytes], there: bool) -> None:  # noqa: FBT001 -- drawn
            if there:  # a pool that is there, and of the revision that is told
                rev = told[script.args.index("rev")] if "rev" in script.args else b"1"
                client.delete(f"{OURS}conf")
                client.hset(f"{OURS}conf", mapping={"rev": rev, "fence": "0"})
            answer: Any = []
            with suppress(ResponseError):  # that of the script; a busy server says so to PING, too
                answer = run(keys=_keys_of(script), args=told)

            count("arguments of Lua scripts")
            assert isinstance(answer, list)
            assert client.ping()

        check()
        after = {key: client.hgetall(key) for key in FOREIGN}
        found = {key.decode("latin-1") for key in client.scan_iter("*", count=1000)}

    assert after == before
    strangers = {key for key in found if not key.startswith((OURS, *FOREIGN))}
    assert strangers == set(), f"{name} wrote where it was not sent"


def test_the_walk_finds_the_scripts() -> None:
    """The rule above is worth something only if there is something to run."""
    assert len(SCRIPTS) > 40
    assert {"assign", "heartbeat", "close", "sweep"} <= set(SCRIPTS)
