"""Events on their way to one endpoint: what the store and the forwarder hand each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dni_allocator.domain.events import Event, event_id, from_entry

Outcome = Literal["taken", "retry", "dead"]
Heard = Literal["", "taken", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One outbox entry. `attempts`: how often this endpoint was sent it so far."""

    id: str
    shard: int
    fields: Mapping[str, str]
    attempts: int = 0

    @property
    def event_id(self) -> str:
        """The id of the event in it."""
        return event_id(self.shard, self.id)

    @property
    def event(self) -> Event:
        """The event in it; reading it costs some microseconds each time."""
        return from_entry(self.shard, self.id, self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request to an endpoint. The same events give the same `id`, however often it is tried.

    `secrets` are texts that open something: what is kept of the request and its answer is without
    them. `url` may hold one, so it is never kept or logged.
    """

    id: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: str = "POST"
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Instead of a message: the event lacks what the endpoint needs, in a word or two."""

    reason: str


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
class LoggedAttempt:
    """One attempt as the log keeps it.

    `at_ms` is ms since 1970, `took_ms` how long it took. `events` counts those in the request,
    `event_id` is the first. `status` is None when nothing came back; `failure` then says why.
    The heads are header names and values; secrets of the operator's are left out.
    """

    at_ms: int
    message_id: str
    event_id: str
    events: int
    attempt: int
    verdict: str
    status: int | None
    failure: str
    took_ms: int
    request: Mapping[str, str]
    response: Mapping[str, str]
    excerpt: str


@dataclass(frozen=True, slots=True)
class OutboxSize:
    """How much one shard's outbox holds. `lost`: entries the cap has ever dropped unread.

    `pending`: events that wait for another attempt, of all endpoints.
    """

    entries: int
    pending: int
    bytes: int
    lost: int
    oldest_unread_ms: int | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event its endpoint will never take, since when (ms since 1970), and why."""

    entry: Entry
    since_ms: int
    note: str
