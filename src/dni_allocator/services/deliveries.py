"""What became of an endpoint's events: attempts, dead letters, sending again, trying it out."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dni_allocator.domain.catalogue import KINDS
from dni_allocator.domain.conversion import EVENT_TYPE as CONVERTS
from dni_allocator.domain.delivery import DeadLetter, Entry, LoggedAttempt, Unsendable
from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.events import Event, from_entry
from dni_allocator.domain.webhook import Endpoint, Health
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.outbox import Outbox
from dni_allocator.webhooks.ports import Dialects
from dni_allocator.webhooks.records import noted
from dni_allocator.webhooks.transport import Transport

MOST_REPLAYED: Final = 10_000
"""Events one call sends again; the answer says where to go on."""

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did. `missing`: ids that are not kept. `go_on_ms`: repeat from this instant."""

    events: int
    missing: tuple[str, ...] = ()
    go_on_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint stands: events waiting for a retry, dead letters, how it has fared.

    `unread_since_ms`: when the oldest event happened that it is not done with; None: none waits.
    """

    retrying: int
    dead_letters: int
    health: Health
    unread_since_ms: int | None = None


class Deliveries:
    """The look-back at deliveries. Raises `StoreUnavailable`, `EndpointUnknown` throughout."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        logs: Sequence[EventLog],
        outboxes: Sequence[Outbox],
        transport: Transport,
        dialects: Dialects,
    ) -> None:
        self._endpoints = endpoints
        self._dialects = dialects
        self._logs = logs
        self._outboxes = outboxes
        self._transport = transport

    async def attempts(
        self, endpoint_id: str, *, failed_only: bool = False, limit: int = 100
    ) -> list[LoggedAttempt]:
        """The newest attempts over all shards, newest first."""
        await self._endpoints.get(endpoint_id)
        found = [
            one
            for log in self._logs
            for one in await log.attempts(endpoint_id, failed_only=failed_only, limit=limit)
        ]
        return sorted(found, key=lambda one: one.at_ms, reverse=True)[:limit]

    async def dead_letters(self, endpoint_id: str, *, limit: int = 100) -> list[DeadLetter]:
        """The newest dead letters over all shards, newest first."""
        await self._endpoints.get(endpoint_id)
        found = [
            one for log in self._logs for one in await log.dead_letters(endpoint_id, limit=limit)
        ]
        return sorted(found, key=lambda one: one.since_ms, reverse=True)[:limit]

    async def standing(self, endpoint_id: str) -> Standing:
        """How it stands, over all shards."""
        await self._endpoints.get(endpoint_id)
        retrying = dead = 0
        health = Health()
        unread: list[int] = []
        for log, outbox in zip(self._logs, self._outboxes, strict=True):
            waits, letters = await log.waiting(endpoint_id)
            retrying, dead = retrying + waits, dead + letters
            health = health.joined(await outbox.health(endpoint_id))
            since = await log.unread_since(endpoint_id)
            unread += [] if since is None else [since]
        return Standing(
            retrying=retrying,
            dead_letters=dead,
            health=health,
            unread_since_ms=min(unread, default=None),
        )

    # --- again ---------------------------------------------------------------------------------

    async def replay_ids(self, endpoint_id: str, event_ids: Sequence[str]) -> Replayed:
        """Send these events again, from the outbox or from the dead letters."""
        endpoint = await self._endpoints.get(endpoint_id)
        missing: list[str] = []
        by_shard: dict[int, list[Entry]] = {}
        for event_id in dict.fromkeys(event_ids):
            entry = await self._kept(endpoint_id, event_id)
            if entry is None:
                missing.append(event_id)
            else:
                by_shard.setdefault(entry.shard, []).append(entry)
        sent = 0
        for shard, entries in by_shard.items():
            sent += await self._again(endpoint, shard, entries)
        return Replayed(sent, tuple(missing))

    async def replay_range(
        self, endpoint_id: str, *, since_ms: int, until_ms: int | None
    ) -> Replayed:
        """Send again what was written from `since_ms` to `until_ms` and the endpoint wants.

        At most some 10,000 events in a call. The instants are those of writing, ms since 1970, by
        the store's clock; None: all that follows.
        """
        until = "+" if until_ms is None else str(until_ms)
        endpoint = await self._endpoints.get(endpoint_id)
        room = MOST_REPLAYED // len(self._logs)
        sent, stopped_ms = 0, None
        for log in self._logs:
            after, here = f"{max(0, since_ms - 1)}-18446744073709551615", 0
            while here < room:
                some = await log.entries(after=after, until=until, limit=_PAGE)
                if not some:
                    break
                after, here = some[-1].id, here + len(some)
                sent += await self._again(endpoint, log.shard, some)
            else:
                reached_ms = int(after.partition("-")[0])
                stopped_ms = reached_ms if stopped_ms is None else min(stopped_ms, reached_ms)
        return Replayed(sent, go_on_ms=stopped_ms)

    async def replay_dead_letters(self, endpoint_id: str) -> Replayed:
        """Send all dead letters again, at most some 10,000 in a call: repeat until none is left."""
        endpoint = await self._endpoints.get(endpoint_id)
        sent = 0
        for log in self._logs:
            letters = await log.dead_letters(endpoint_id, limit=MOST_REPLAYED // len(self._logs))
            entries = [one.entry for one in letters]
            for at in range(0, len(entries), _PAGE):
                sent += await log.replay(endpoint.id, entries[at : at + _PAGE])
        return Replayed(sent)

    async def _again(self, endpoint: Endpoint, shard: int, entries: Sequence[Entry]) -> int:
        wanted = [
            one
            for one in entries
            if endpoint.wants(
                one.fields.get("t", ""), one.fields.get("p", ""), one.fields.get("o", "")
            )
        ]
        return await self._logs[shard].replay(endpoint.id, wanted)

    async def _kept(self, endpoint_id: str, event_id: str) -> Entry | None:
        shard, _, entry_id = event_id.removeprefix("evt_s").partition("_")
        ms, _, sequence = entry_id.partition("-")
        at = whole(shard)
        if at is None or at >= len(self._logs) or None in {whole(ms), whole(sequence)}:
            return None
        log = self._logs[at]
        return await log.entry(entry_id) or await log.parked(endpoint_id, entry_id)

    # --- trying it out -------------------------------------------------------------------------

    async def try_out(self, endpoint_id: str, event_type: str = "endpoint.test") -> LoggedAttempt:
        """Send an example now, signed as ever, and say what came back. Nothing is retried.

        It has an id of its own (`evt_test_…`), which no stored event has. A disabled endpoint is
        sent one too: that is how one sees whether it may be enabled.

        A conversion's target is told of a qualified call, as a trial where its protocol has such a
        thing.

        Raises:
            InvalidRequest: There is no such type, or the target cannot be sent a trial.
        """
        endpoint = await self._endpoints.get(endpoint_id)
        dialect = self._dialects[endpoint.kind]
        if endpoint.target is not None:
            event_type = CONVERTS
        event = example_of(event_type, endpoint_id=endpoint.id)
        started, at_s = time.monotonic(), time.time()
        packed = dialect.message(endpoint, [event], now_s=at_s, trial=True)
        if isinstance(packed, Unsendable):
            raise InvalidRequest(packed.reason)
        answer = await self._transport.send(
            packed.url, headers=packed.headers, body=packed.body, method=packed.method
        )
        return noted(
            packed,
            answer,
            dialect.verdict(answer.status, answer.body),
            endpoint=endpoint,
            event_id=event.id,
            at_s=at_s,
            took_s=time.monotonic() - started,
        )


def example_of(event_type: str, *, endpoint_id: str) -> Event:
    """The example of the catalogue as if it had happened now, with an id of its own.

    Raises:
        InvalidRequest: There is no such type.
    """
    kind = KINDS.get(event_type)
    if kind is None:
        known = ", ".join(KINDS)
        raise InvalidRequest.at("event_type", f"One of {known}.")
    now_ms = int(time.time() * 1000)
    entry = {**kind.example, "w": str(now_ms)}
    if "s" in entry:
        entry["s"] = str(now_ms - 30_000)
    if "endpoint_id" in entry:
        entry["endpoint_id"] = endpoint_id
    return replace(from_entry(0, f"{now_ms}-0", entry), id=f"evt_test_{secrets.token_hex(8)}")
