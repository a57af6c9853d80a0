"""Load the Lua scripts, check their headers, run them.

A script file is one atomic operation. Its first lines are its header:

    local leased = KEYS[1]            -- ZSET number -> deadline, ms
    local idle   = tonumber(ARGV[2])  -- idle limit, ms
    -- rows      = ARGV[3...]         -- destination, previous number: two values a row


The header is parsed, so Python calls by keyword and a wrong set of keywords raises before
anything is sent. `--@include lib/name` pulls in a fragment once; a fragment that uses names of
the including script says so with `--@needs name name`, which is checked too. A script may make such
names below its header, of those it was given: `local free = pool .. "free:" -- what it is`.

Scripts are run by EVALSHA; on NOSCRIPT (restart, failover, `SCRIPT FLUSH`) by plain EVAL with the
same keys, so the same node runs and caches it. Every script is safe to run twice: the reply may
be lost on the way and the client may send it again.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import hiredis

from dni_allocator.domain.errors import ScriptContractError

Value = str | bytes | int
Reply = list[bytes]
Execute = Callable[..., Awaitable[object]]
"""Send one command, return its reply; raises `NoScript` where the server says NOSCRIPT."""
SendPacked = Callable[[bytes], Awaitable[object]]
"""The same for a command that is packed for the wire already."""

_DECLARATION = re.compile(
    r"^local (?P<name>\w+)\s*=\s*(?:tonumber\()?(?P<kind>KEYS|ARGV)\[(?P<index>\d+)\]\)?"
    r"\s*-- (?P<meaning>\S.*)$",
)
_DERIVED = re.compile(r"^\s*local (?P<name>\w+)\s*= (?P<source>\w+) [.~].*?\s-- \S.*$")
_VARIADIC = re.compile(r"^-- (?P<name>\w+)\s*=\s*ARGV\[(?P<index>\d+)\.\.\.\]\s*-- \S.*$")
_INCLUDE = re.compile(r"^--@include (?P<path>[\w/]+)$")
_NEEDS = re.compile(r"^--@needs (?P<names>[\w ]+)$")

_names: dict[str, str] = {}

_LENGTHS = tuple(f"${size}\r\n" for size in range(1024))
"""How the wire announces strings of the usual lengths, in bytes."""


class NoScript(Exception):
    """The server does not have this script in its cache."""


@dataclass(frozen=True, slots=True)
class Script:
    """One operation: its flattened source and what it must be called with."""

    name: str
    source: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    rest: str | None

    def pack(self, values: Mapping[str, Value], rest: Sequence[Value] = ()) -> list[Value]:
        """Put keyword values into the order of the header: key count, keys, arguments.

        Raises `ScriptContractError` when a name is missing or unknown.
        """
        try:
            packed: list[Value] = [len(self.keys)]
            packed.extend([values[name] for name in self.keys])
            packed.extend([values[name] for name in self.args])
        except KeyError as missing:
            message = f"{self.name}: {missing} is missing"
            raise ScriptContractError(message) from missing
        if len(values) != len(self.keys) + len(self.args):
            unknown = sorted(set(values) - {*self.keys, *self.args})
            message = f"{self.name}: takes no {unknown}"
            raise ScriptContractError(message)
        if rest and self.rest is None:
            message = f"{self.name}: takes no rows"
            raise ScriptContractError(message)
        packed.extend(rest)
        return packed

    def bind(self, fixed: Mapping[str, Value], *, given: Sequence[str]) -> "Bound":
        """Fill in what stays the same over many calls; `given` names what comes with each.

        Raises `ScriptContractError` unless each name of the header is in one of the two, and
        `given` in the order of the header.
        """
        names = (*self.keys, *self.args)
        if sorted([*fixed, *given]) != sorted(names):
            message = f"{self.name}: takes {sorted(names)}, each once"
            raise ScriptContractError(message)
        places = [names.index(name) for name in given]
        if places != sorted(places):
            message = f"{self.name}: {given} are not in the order of the header"
            raise ScriptContractError(message)
        head: list[Value] = ["EVALSHA", self.sha, len(self.keys)]
        return Bound(
            self,
            [*head, *[fixed.get(name, "") for name in names]],
            [len(head) + place for place in places],
        )

    async def run(
        self,
        execute: Execute,
        values: Mapping[str, Value],
        rest: Sequence[Value] = (),
    ) -> Reply:
        """Run the script and return its reply, `{STATUS, strings…}` as bytes.

        One round trip (two after the server lost its script cache). Safe to repeat.
        """
        packed = self.pack(values, rest)
        try:
            reply = await execute("EVALSHA", self.sha, *packed)
        except NoScript:
            reply = await execute("EVAL", self.source, *packed)
        return self.checked(reply)

    def checked(self, reply: object) -> Reply:
        """The reply, if it has the form all scripts keep to. Raises `ScriptContractError`."""
        if isinstance(reply, list) and reply:
            return reply
        message = f"{self.name}: replied {type(reply).__name__}, not a list"
        raise ScriptContractError(message)


class Bound:
    """A script with some of its values filled in, and packed for the wire as far as they go.

    Why not by hiredis: it prints the length of all 27 strings of an `assign` at each call, which
    is 31,000 instructions; to fill in the few that differ takes a third of that.
    """

    __slots__ = ("_command", "_count", "_pieces", "_places", "script")

    def __init__(self, script: Script, command: list[Value], places: Sequence[int]) -> None:
        """`places`: where in the command the values of each call belong, in rising order."""
        self.script = script
        self._command = command
        self._count = len(command)
        self._places = places
        # The count of strings; then in turns what stays, and the length of a value and the value.
        self._pieces = ["", ""]
        for place, value in enumerate(command):
            if place in places:
                self._pieces += ["$0\r\n", "", "\r\n"]
            else:
                text = value.decode() if isinstance(value, bytes) else str(value)
                self._pieces[-1] += f"${len(text.encode())}\r\n{text}\r\n"

    async def run(
        self,
        execute: Execute,
        values: Sequence[str],
        rest: Sequence[str] = (),
        *,
        send_packed: SendPacked | None = None,
    ) -> Reply:
        """Run with the remaining values, in the order of `given`; packed where that can be sent.

        Raises `ScriptContractError`.
        """
        if len(values) != len(self._places):
            message = f"{self.script.name}: wants {len(self._places)} values"
            raise ScriptContractError(message)
        try:
            if send_packed is None:
                reply = await execute(*self._complete(values, rest))
            else:
                reply = await send_packed(self.packed(values, rest))
        except NoScript:
            command = self._complete(values, rest)
            command[:2] = "EVAL", self.script.source
            reply = await execute(*command)
        if type(reply) is list and reply:
            return reply
        return self.script.checked(reply)

    def packed(self, values: Sequence[str], rest: Sequence[str] = ()) -> bytes:
        """The command as Redis reads it."""
        pieces = self._pieces.copy()
        pieces[0] = f"*{self._count + len(rest)}\r\n"
        at = 2
        try:
            for value in values:
                if value:  # most calls leave several empty, and so are the pieces
                    pieces[at] = _LENGTHS[len(value)]
                    pieces[at + 1] = value
                at += 3
            for value in rest:
                pieces += (_LENGTHS[len(value)], value, "\r\n")
            return "".join(pieces).encode("ascii")
        except (IndexError, UnicodeEncodeError):
            # A long text, or one whose length in bytes is another: by the library, then.
            command = tuple(self._complete(values, rest))
            # hiredis' stub says a tuple of one.
            whole: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
            return whole

    def _complete(self, values: Sequence[str], rest: Sequence[str]) -> list[Value]:
        command = self._command.copy()
        for place, value in zip(self._places, values, strict=True):
            command[place] = value
        return [*command, *rest]


def name_of(sha: str) -> str | None:
    """What the script is called that has this hash, if this process has loaded it."""
    return _names.get(sha)


def load(name: str, *, root: Traversable | None = None) -> Script:
    """Read `<name>.lua` below `root` (default: this package's scripts) and parse its header.

    Raises `ScriptContractError` naming file and line for a gap in the numbering, a name declared
    twice, a missing, repeated or circular include, and an unmet `--@needs`.
    """
    root = root if root is not None else files(__package__) / "lua"
    parser = _Parser(root=root)
    parser.read(f"{name}.lua", trail=())
    script = parser.script(name)
    _names[script.sha] = name
    return script


class _Parser:
    """State of one load: flattened lines and the header so far."""

    def __init__(self, *, root: Traversable) -> None:
        self._root = root
        self._lines: list[str] = []
        self._names: dict[str, tuple[str, int]] = {}
        self._rest: tuple[str, int] | None = None
        self._included: set[str] = set()

    def read(self, path: str, *, trail: tuple[str, ...]) -> None:
        if path in trail:
            message = f"{path}: included in a circle: {' > '.join((*trail, path))}"
            raise ScriptContractError(message)
        if path in self._included:
            return
        self._included.add(path)
        file = self._root.joinpath(path)
        if not file.is_file():
            message = f"{path}: no such script (wanted by {trail[-1] if trail else 'the loader'})"
            raise ScriptContractError(message)
        for line_number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            where = f"{path}:{line_number}"
            if include := _INCLUDE.match(line):
                self.read(f"{include['path']}.lua", trail=(*trail, path))
                continue
            if needs := _NEEDS.match(line):
                self._check_needs(needs["names"].split(), where=where)
            else:
                self._read_line(line, where=where, is_fragment=bool(trail))
            self._lines.append(line)

    def _read_line(self, line: str, *, where: str, is_fragment: bool) -> None:
        declared, code = _DECLARATION.match(line), line.partition("--")[0]
        if declared and not is_fragment:
            self._declare(declared, where=where)
        elif (derived := _DERIVED.match(line)) and derived["source"] in self._names:
            self._names[derived["name"]] = ("derived", 0)
        elif variadic := _VARIADIC.match(line):
            self._rest = (variadic["name"], int(variadic["index"]))
        elif "KEYS[" in code or (is_fragment and "ARGV[" in code):
            message = f"{where}: KEYS (in a fragment, ARGV too) is read outside the header"
            raise ScriptContractError(message)

    def _declare(self, declared: re.Match[str], *, where: str) -> None:
        name = declared["name"]
        if name in self._names:
            message = f"{where}: {name} is declared twice"
            raise ScriptContractError(message)
        self._names[name] = (declared["kind"], int(declared["index"]))

    def _check_needs(self, names: Sequence[str], *, where: str) -> None:
        missing = [name for name in names if name not in self._names]
        if missing:
            message = f"{where}: the including script does not declare {', '.join(missing)}"
            raise ScriptContractError(message)

    def _ordered(self, kind: str, name: str) -> tuple[str, ...]:
        numbered = sorted((at, key) for key, (its, at) in self._names.items() if its == kind)
        if [at for at, _ in numbered] != list(range(1, len(numbered) + 1)):
            message = f"{name}.lua: {kind} is not numbered 1 to {len(numbered)}"
            raise ScriptContractError(message)
        return tuple(key for _, key in numbered)

    def script(self, name: str) -> Script:
        keys, args = self._ordered("KEYS", name), self._ordered("ARGV", name)
        if not keys:
            message = f"{name}.lua: declares no key, so a cluster could not route it"
            raise ScriptContractError(message)
        if self._rest is not None and self._rest[1] != len(args) + 1:
            message = f"{name}.lua: {self._rest[0]} must begin at ARGV[{len(args) + 1}]"
            raise ScriptContractError(message)
        source = "\n".join(self._lines) + "\n"
        return Script(
            name=name,
            source=source,
            # The sha is Redis' name for a script, not a security measure.
            sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(),
            keys=keys,
            args=args,
            rest=self._rest[0] if self._rest else None,
        )
