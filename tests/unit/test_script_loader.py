"""The loader of Lua scripts: headers are parsed, mistakes are named, calls are by keyword."""

import re
from importlib.resources import files
from pathlib import Path

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.errors import ScriptContractError
from dni_allocator.store.scripts import NoScript, load

HEAD = "local conf = KEYS[1]  -- HASH of the pool\nlocal now = ARGV[1]  -- ms\n"
SHIPPED = sorted(
    path.name.removesuffix(".lua")
    for path in (files("dni_allocator.store") / "lua").iterdir()
    if path.name.endswith(".lua")
)


def _write(root: Path, **sources: str) -> Path:
    (root / "lib").mkdir()
    for name, source in sources.items():
        (root / f"{name.replace('__', '/')}.lua").write_text(source)
    return root


def test_the_header_gives_names_in_order(tmp_path: Path) -> None:
    """Aligned or not, numbers read as numbers or not; other locals are no part of it."""
    source = (
        "local second = KEYS[2]             -- LIST\n"
        "local first  = KEYS[1]             -- HASH\n"
        "local idle   = tonumber(ARGV[1])   -- ms\n"
        "-- rows      = ARGV[2...]          -- number, shelf\n"
        'local other = redis.call("GET", first)\n'
    )
    script = load("one", root=_write(tmp_path, one=source))

    assert (script.keys, script.args, script.rest) == (("first", "second"), ("idle",), "rows")
    assert script.pack({"idle": 5, "first": "a", "second": "b"}, ["x", "y"]) == [
        2, "a", "b", 5, "x", "y",
    ]  # fmt: skip


def test_a_fragment_is_included_once(tmp_path: Path) -> None:
    """Two fragments that need a third get it once, before both."""
    root = _write(
        tmp_path,
        one=f"{HEAD}--@include lib/a\n--@include lib/b\n",
        lib__a="--@include lib/c\nlocal a = 1\n",
        lib__b="--@include lib/c\nlocal b = 1\n",
        lib__c="local c = 1\n",
    )

    source = load("one", root=root).source

    assert source.count("local c = 1") == 1
    assert source.index("local c") < source.index("local a") < source.index("local b")


def test_a_script_makes_names_for_its_fragments(tmp_path: Path) -> None:
    """What is seldom needed is built below the header, of what was given; of nothing else."""
    made = 'local free = conf .. "free:"  -- prefix\n'
    root = _write(
        tmp_path,
        one=f"{HEAD}{made}--@include lib/a\n",
        two=f"{HEAD}{made.replace('conf', 'other')}--@include lib/a\n",
        lib__a="--@needs free\n",
    )

    assert load("one", root=root).keys == ("conf",)
    with pytest.raises(ScriptContractError, match="does not declare free"):
        load("two", root=root)


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"one": f"{HEAD}--@include lib/a\n", "lib__a": "--@include lib/b\n",
          "lib__b": "--@include lib/a\n"}, r"in a circle: one\.lua > lib/a\.lua > lib/b\.lua"),
        ({"one": f"{HEAD}--@include lib/none\n"}, r"lib/none\.lua: no such script"),
        ({"one": f"{HEAD}--@include lib/a\n", "lib__a": "--@needs conf leased\n"},
         r"lib/a\.lua:1: .* does not declare leased"),
        ({"one": HEAD.replace("KEYS[1]", "KEYS[2]")}, r"KEYS is not numbered 1 to 1"),
        ({"one": HEAD.replace("ARGV[1]", "ARGV[2]")}, r"ARGV is not numbered 1 to 1"),
        ({"one": f"{HEAD}local conf = ARGV[2]  -- again\n"}, r"one\.lua:3: conf is declared twice"),
        ({"one": f'{HEAD}redis.call("GET", KEYS[1])\n'}, r"one\.lua:3: KEYS .* outside the header"),
        ({"one": "local conf = KEYS[1]\n"}, r"one\.lua:1: KEYS .* outside the header"),
        ({"one": f"{HEAD}--@include lib/a\n", "lib__a": "local x = ARGV[1]  -- no\n"},
         r"lib/a\.lua:1: "),
        ({"one": f"{HEAD}-- rows = ARGV[3...]  -- too late\n"}, r"rows must begin at ARGV\[2\]"),
        ({"one": "local now = ARGV[1]  -- ms\n"}, r"declares no key"),
        ({"two": HEAD}, r"one\.lua: no such script \(wanted by the loader\)"),
    ],
    ids=["circle", "no-fragment", "needs", "key-gap", "arg-gap", "twice", "key-outside",
         "no-comment", "arg-in-fragment", "rows-gap", "no-key", "no-script"],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, sources: dict[str, str], complaint: str
) -> None:
    """A script that breaks the contract is refused when it is loaded, not when it is called."""
    root = _write(tmp_path, **sources)

    with pytest.raises(ScriptContractError, match=complaint):
        load("one", root=root)


@pytest.mark.parametrize(
    ("values", "rest", "complaint"),
    [
        ({"conf": "a"}, [], "'now' is missing"),
        ({"conf": "a", "now": 1, "then": 2}, [], r"takes no \['then'\]"),
        ({"conf": "a", "now": 1}, ["x"], "takes no rows"),
    ],
    ids=["missing", "unknown", "rows"],
)
async def test_wrong_calls_are_refused_before_anything_is_sent(
    tmp_path: Path, values: dict[str, str | bytes | int], rest: list[str | bytes | int],
    complaint: str,
) -> None:  # fmt: skip
    """A keyword too few or too many is a bug of the caller."""
    script = load("one", root=_write(tmp_path, one=HEAD))

    async def execute(*_: str | bytes | int) -> object:
        pytest.fail("something was sent")

    with pytest.raises(ScriptContractError, match=complaint):
        await script.run(execute, values, rest)


async def test_a_server_without_the_script_is_sent_its_source(tmp_path: Path) -> None:
    """EVALSHA first; on NOSCRIPT plain EVAL with the same keys."""
    script = load("one", root=_write(tmp_path, one=HEAD))
    sent = []

    async def execute(*command: str | bytes | int) -> object:
        sent.append(command)
        if command[0] == "EVALSHA":
            raise NoScript
        return [b"OK"]

    assert await script.run(execute, {"conf": "a", "now": 1}) == [b"OK"]
    assert sent == [("EVALSHA", script.sha, 1, "a", 1), ("EVAL", script.source, 1, "a", 1)]


async def test_a_reply_that_is_no_list_is_a_bug(tmp_path: Path) -> None:
    """Every script replies {STATUS, …}."""
    script = load("one", root=_write(tmp_path, one=HEAD))

    async def execute(*_: str | bytes | int) -> object:
        return b"OK"

    with pytest.raises(ScriptContractError, match="replied bytes"):
        await script.run(execute, {"conf": "a", "now": 1})


async def test_a_bound_script_takes_only_what_is_left(tmp_path: Path) -> None:
    """What stays the same is filled in once; the rest comes in the order that was agreed."""
    bound = load("one", root=_write(tmp_path, one=HEAD)).bind({"conf": "a"}, given=["now"])
    sent = []

    async def execute(*command: str | bytes | int) -> object:
        sent.append(command[2:])
        return [b"OK"]

    await bound.run(execute, ("1",))
    await bound.run(execute, ("2",))

    assert sent == [(1, "a", "1"), (1, "a", "2")]
    for wrong in ((), ("1", "2")):
        with pytest.raises(ScriptContractError, match="wants 1 values"):
            await bound.run(execute, wrong)
    for fixed, names in (
        ({"nothing": "x"}, ["now"]),
        ({"conf": "a"}, []),
        ({"conf": "a"}, ["conf", "now"]),
    ):
        with pytest.raises(ScriptContractError, match="each once"):
            bound.script.bind(fixed, given=names)
    with pytest.raises(ScriptContractError, match="order of the header"):
        bound.script.bind({}, given=["now", "conf"])


@given(
    fixed=st.text(max_size=20),
    value=st.one_of(st.text(max_size=40), st.text(min_size=1020, max_size=1030)),
    rows=st.lists(st.text(max_size=20), max_size=5),
)
def test_a_packed_call_is_what_the_library_would_send(
    fixed: str, value: str, rows: list[str]
) -> None:
    """Filling in a prepared command is only a shorter way to the same bytes, whatever is in it."""
    script = load("assign").bind(
        dict.fromkeys(_names_of("assign"), fixed) | {"visitor": "v"}, given=["data"]
    )

    packed = script.packed((value,), rows)

    command = [
        "EVALSHA",
        script.script.sha,
        len(script.script.keys),
        *["v" if name == "visitor" else fixed for name in script.script.keys],
        *[value if name == "data" else fixed for name in script.script.args],
        *rows,
    ]
    assert packed == hiredis.pack_command(tuple(command))  # type: ignore[arg-type]


async def test_a_packed_call_finds_its_script_after_a_restart(tmp_path: Path) -> None:
    """A server that lost its scripts is sent the source, the usual way."""
    bound = load("one", root=_write(tmp_path, one=HEAD)).bind({"conf": "a"}, given=["now"])
    sent: list[object] = []

    async def execute(*command: str | bytes | int) -> object:
        sent.append(command)
        return [b"OK"]

    async def send_packed(packed: bytes) -> object:
        sent.append(packed)
        raise NoScript

    assert await bound.run(execute, ("1",), send_packed=send_packed) == [b"OK"]
    assert sent == [bound.packed(("1",)), ("EVAL", bound.script.source, 1, "a", "1")]


def _names_of(name: str) -> set[str]:
    script = load(name)
    return {*script.keys, *script.args} - {"data"}


def test_there_are_scripts() -> None:
    """The next tests mean something."""
    assert len(SHIPPED) > 15


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_script_loads_and_says_what_it_does(name: str) -> None:
    """Purpose, replies, idempotence and cost stand above the header; each name has a meaning."""
    script = load(name)
    text = (files("dni_allocator.store") / "lua" / f"{name}.lua").read_text("utf-8")
    head = text[: text.index("\nlocal ")]

    assert all(line.startswith("--") for line in head.splitlines())
    assert re.search(r"Repl(?:y|ies):", head)
    assert re.search(r"Idempotent|Reads only|[Ss]afe to repeat|second run", head)
    assert "O(" in head
    declared = re.findall(r"^local \w+\s*=.*(?:KEYS|ARGV)\[\d+\].*-- \S.*$", text, re.MULTILINE)
    assert len(declared) == len(script.keys) + len(script.args)
