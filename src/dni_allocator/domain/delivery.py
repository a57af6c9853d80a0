"""Events on their way to one endpoint: what the store and the forwarder hand each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dni_allocator.domain.events import Event, from_entry

Outcome = Literal["taken", "retry", "dead"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One outbox entry. `attempts`: how often this endpoint was sent it so far."""

    id: str
    shard: int
    fields: Mapping[str, str]
    attempts: int = 0

    @property
    def event(self) -> Event:
        """The event in it; reading it costs some microseconds each time."""
        return from_entry(self.shard, self.id, self.fields)


@dataclass(frozen=True, slots=True)
class Batch:
    """What to send next: retries whose time has come, and entries not read before.

    `next_due_ms`: ms until the next retry that is not among `due`; None: there is none.
    """

    due: tuple[Entry, ...]
    new: tuple[Entry, ...]
    next_due_ms: int | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one entry: taken, parked until a retry `delay_ms` from now, or dead.

    `entry.attempts` counts the attempt that led here; `note` says in a word why it failed.
    """

    entry: Entry
    outcome: Outcome
    delay_ms: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event its endpoint will never take, since when (ms since 1970), and why."""

    entry: Entry
    since_ms: int
    note: str
