"""What the forwarder needs of others.

The store's side is `store.outbox` and `store.endpoints`; what is spoken to an endpoint comes from
`webhooks.message` and from the room `conversions`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dni_allocator.domain.delivery import (
    Batch,
    Heard,
    LoggedAttempt,
    Message,
    OutboxSize,
    Settlement,
    Unsendable,
)
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import Endpoint, Health, Verdict


class OutboxPort(Protocol):
    """One shard's outbox; documented at `store.outbox.Outbox`."""

    @property
    def shard(self) -> int:
        """Its number."""
        ...

    async def lock(self, endpoint_id: str, *, token: str, ttl_ms: int) -> bool:
        """Take or renew the right to serve an endpoint."""
        ...

    async def unlock(self, endpoint_id: str, *, token: str) -> None:
        """Give it back."""
        ...

    async def read(
        self,
        endpoint_id: str,
        *,
        token: str,
        after: str,
        limit: int,
        most_due: int,
        busy: Iterable[str],
    ) -> Batch | None:
        """What to send next."""
        ...

    async def settle(
        self,
        endpoint_id: str,
        *,
        token: str,
        settlements: Sequence[Settlement],
        position: str,
        heard: Heard,
    ) -> bool:
        """Write down what became of it."""
        ...

    async def log(
        self, endpoint_id: str, attempts: Sequence[LoggedAttempt], *, keep: int, keep_for_ms: int
    ) -> None:
        """Note attempts for people to look at."""
        ...

    async def health(self, endpoint_id: str) -> Health:
        """How an endpoint has fared here."""
        ...

    async def size(self) -> OutboxSize:
        """How much is held."""
        ...

    async def cap(self, *, keep: int) -> tuple[int, int]:
        """Drop the oldest whatever happens; how many, and how many of them unread."""
        ...

    async def trim(self, *, keep: int, keep_for_ms: int) -> int:
        """Drop what nobody needs any more."""
        ...

    async def forget_dead_letters(self, endpoint_id: str, *, keep_for_ms: int) -> int:
        """Drop dead letters nobody asked for."""
        ...

    async def waiting_for_news(self, *, after: str, block_ms: int) -> str:
        """Block until there is something new."""
        ...


class EndpointsPort(Protocol):
    """The endpoint records; documented at `store.endpoints.Endpoints`."""

    async def all(self) -> list[Endpoint]:
        """All of them."""
        ...

    async def replace(self, seen: Endpoint, wanted: Endpoint) -> None:
        """Write an edited one."""
        ...

    async def heal(self, endpoint_id: str) -> None:
        """Make missing positions."""
        ...


class PresencePort(Protocol):
    """Which forwarders live; documented at `store.outbox.Presence`."""

    async def announce(self, token: str, *, ttl_ms: int) -> int:
        """Say that we live; how many do."""
        ...

    async def leave(self, token: str) -> None:
        """Say that we stop."""
        ...


class Dialect(Protocol):
    """How one kind of endpoint is spoken to: pure, and told the time."""

    def message(
        self, endpoint: Endpoint, events: Sequence[Event], *, now_s: float, trial: bool = False
    ) -> Message | Unsendable:
        """The request for some events; several only for endpoints `in_batches`.

        `trial`: to try the endpoint out, if the other side can tell a trial from the real thing.
        """
        ...

    def verdict(self, status: int | None, body: bytes) -> Verdict:
        """What an answer means; None: there was none."""
        ...


Dialects = Mapping[str, Dialect]
"""By the kind of endpoint."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery attempt, for metrics. `events`: how many were in the request."""

    endpoint_id: str
    event_id: str
    events: int
    number_of_attempt: int
    verdict: Verdict
    status: int | None
    failure: str
    seconds: float


Observe = Callable[[Attempt], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """The forwarder's times and amounts; the defaults are for production.

    `lock_ttl_ms`: a dead forwarder's work is taken over after so long. `refresh_s`: how soon edits
    of endpoints are followed. `keep`, `keep_for_ms`: what the outbox of a shard keeps for replay
    behind all endpoints. `log_s`: how often attempts are written to their log, which keeps
    `log_keep` of each kind for an endpoint and shard. `idle_s`: how often an idle lane looks for
    due retries. `stop_s`: how long requests in flight may take when stopping.
    """

    lock_ttl_ms: int = 10_000
    refresh_s: float = 1.0
    concurrency: int = 32
    read_ahead: int = 400
    commit_s: float = 0.02
    idle_s: float = 2.0
    most_failures: int = 5
    first_pause_s: float = 5.0
    longest_pause_s: float = 300.0
    housekeeping_s: float = 10.0
    keep: int = 100_000
    keep_for_ms: int = 3 * 24 * 3600 * 1000
    keep_dead_letters_ms: int = 30 * 24 * 3600 * 1000
    log_s: float = 0.5
    log_keep: int = 200
    log_keep_for_ms: int = 3 * 24 * 3600 * 1000
    stop_s: float = 20.0
