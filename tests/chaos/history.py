"""The record of a chaos run: every request and answer with its interval, every fault, every event.

Written as JSON lines while the run goes on, so that a run that failed can be checked again. Times
of requests are seconds of one monotonic clock, that of the process that asked; times in ms are of
the clock of Redis, where an answer or an event tells them.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final, Self

import orjson

ASSIGN: Final = "assign"
HEARTBEAT: Final = "heartbeat"
CLOSE: Final = "close"
ATTRIBUTION: Final = "attribution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A pool, as far as it decides what is right."""

    pool: str
    numbers: tuple[str, ...]
    destinations: tuple[str, ...]
    idle_s: int
    delay_s: int
    overflow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page was told to show for one destination."""

    destination: str
    number: str
    status: str
    reason: str
    lease_id: str | None = None
    expires_in_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What an attribution answered for the instant `at_ms`."""

    at_ms: int
    basis: str
    route_to: str
    visitor: str | None = None
    lease_id: str | None = None
    assigned_ms: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request. Without `end` no answer came: it may have been served then, later or never."""

    call: str
    begin: float
    end: float | None = None
    service: str = ""
    pool: str = ""
    visitor: str = ""
    page: str = ""
    number: str = ""
    """Asked after, by an attribution."""
    at_ms: int | None = None
    """The instant that an attribution asked for; None: now."""
    status: int | None = None
    shown: tuple[Shown, ...] = ()
    gone: bool = False
    expires_in_s: int | None = None
    who: Who | None = None
    failure: str = ""
    """Why no answer came."""

    @property
    def good(self) -> bool:
        """Whether it was answered, and well."""
        return self.status is not None and self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """One fault: from `begin` on something was broken, from `end` on nothing was.

    `served`: when every service had answered a page again; None: it never did.
    """

    name: str
    begin: float
    end: float
    served: float | None = None
    forgets_s: float = 0.0
    """What was answered so long before it may be forgotten; `inf`: all that was ever answered."""
    moves_clock: bool = False
    """The clock of Redis jumped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event, each time it was delivered. `at_ms`: when it happened, by the clock of Redis."""

    id: str
    type: str
    came: float
    pool: str
    number: str
    visitor: str
    destination: str
    lease_id: str
    reason: str
    at_ms: int
    started_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The run is over, all leases too, and nothing waited in the outbox: `events` were written."""

    at: float
    events: int


Line = Rules | Operation | Struck | Told | Settled
_KINDS: Final[Mapping[str, type[Line]]] = {
    kind.__name__.lower(): kind for kind in (Rules, Operation, Struck, Told, Settled)
}


@dataclass(slots=True)
class History:
    """All of a run, in the order in which things were over."""

    rules: dict[str, Rules] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    faults: list[Struck] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    settled: Settled | None = None

    def add(self, line: Line) -> None:
        """Put one line where it belongs."""
        match line:
            case Rules():
                self.rules[line.pool] = line
            case Operation():
                self.operations.append(line)
            case Struck():
                self.faults.append(line)
            case Told():
                self.events.append(line)
            case Settled():
                self.settled = line

    def lines(self) -> Iterator[Line]:
        """All lines."""
        yield from self.rules.values()
        yield from self.operations
        yield from self.faults
        yield from self.events
        if self.settled is not None:
            yield self.settled

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        """A history of these lines."""
        made = cls()
        for line in lines:
            made.add(line)
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a `Recorder` wrote."""
        return cls.of(_line(orjson.loads(text)) for text in path.read_bytes().splitlines())


class Recorder:
    """A history that is written down line by line."""

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._file = path.open("wb")

    def add(self, line: Line) -> None:
        """Note it, and write it."""
        self.history.add(line)
        self._file.write(packed(line) + b"\n")

    def close(self) -> None:
        """Nothing follows."""
        self._file.close()


def packed(line: Line) -> bytes:
    """One line, without what is not there."""
    told = {name: value for name, value in dataclasses.asdict(line).items() if value is not None}
    if told.get("forgets_s") == inf:
        told["forgets_s"] = "ever"  # JSON knows no infinity
    return orjson.dumps({"kind": type(line).__name__.lower(), **told})


def _line(told: dict[str, Any]) -> Line:
    kind = _KINDS[told.pop("kind")]
    if told.get("forgets_s") == "ever":
        told["forgets_s"] = inf
    if "shown" in told:
        told["shown"] = tuple(Shown(**each) for each in told["shown"])
    if "who" in told:
        told["who"] = Who(**told["who"])
    for name in ("numbers", "destinations", "overflow"):
        if name in told:
            told[name] = tuple(told[name])
    return kind(**told)


def merged(spans: Iterable[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The same instants as spans that do not touch, in order."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif begin < end:
            found.append((begin, end))
    return found
