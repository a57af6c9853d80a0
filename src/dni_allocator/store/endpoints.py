"""Webhook endpoint records, and the positions that come and go with them.

The signing secret lies in the record as it is, because every delivery is signed with it: whoever
can read Redis can forge deliveries. Guard the server accordingly (the embedded one is reachable
only for its own user). All other keys of the service are stored hashed.

A record and its positions are on different shards, so no step covers both. The record comes
first and goes first; whoever makes a position looks for the record afterwards, and takes the
position back if there is none. So no position is left behind, which trimming would wait for.
"""

from collections.abc import Callable
from typing import Final

from dni_allocator.domain.errors import EditConflict, EndpointUnknown
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.store.keys import WEBHOOKS, ShardKeys, shard_of
from dni_allocator.store.records import Edited, edit_record
from dni_allocator.store.replies import mapping
from dni_allocator.store.scripts import Execute, load
from dni_allocator.store.shards import redis_time

_SUBSCRIBE: Final = load("outbox_subscribe")
_SUSPEND: Final = load("outbox_suspend")
_UNSUBSCRIBE: Final = load("outbox_unsubscribe")


class Endpoints:
    """All webhook endpoints, over all shards."""

    def __init__(
        self, execute: Execute, *, shards: int, clock: Callable[[], str] = redis_time
    ) -> None:
        self._execute = execute
        self._clock = clock
        self._shards = [ShardKeys(shard) for shard in range(shards)]

    async def create(self, endpoint: Endpoint) -> None:
        """Store an endpoint and give it its position on every shard. Safe to repeat."""
        await self._execute("HSET", WEBHOOKS, endpoint.id, endpoint.to_json())
        await self.heal(endpoint.id)

    async def all(self) -> list[Endpoint]:
        """All endpoints, oldest first."""
        records = mapping(await self._execute("HGETALL", WEBHOOKS))
        endpoints = [Endpoint.from_json(record) for record in records.values()]
        return sorted(endpoints, key=lambda endpoint: (endpoint.created_ms, endpoint.id))

    async def get(self, endpoint_id: str) -> Endpoint:
        """One endpoint.

        Raises:
            EndpointUnknown: There is none by this id.
        """
        record = await self._execute("HGET", WEBHOOKS, endpoint_id)
        if not isinstance(record, bytes):
            raise EndpointUnknown("No webhook endpoint has this id.")
        return Endpoint.from_json(record)

    async def replace(self, seen: Endpoint, wanted: Endpoint) -> None:
        """Write an edited endpoint over the one the editor has read; its positions follow.

        A disabled endpoint keeps its position, but trimming stops waiting for it: when it is
        enabled again it goes on with the oldest event that is still kept. The event
        `endpoint.disabled` tells the others, once. Safe to repeat.

        Raises:
            EditConflict: Somebody else edited it meanwhile.
            EndpointUnknown: It was deleted.
        """
        edited = await edit_record(
            self._execute, WEBHOOKS, seen=seen, wanted=wanted, read=Endpoint.from_json
        )
        if edited is Edited.GONE:
            raise EndpointUnknown("The webhook endpoint was deleted meanwhile.")
        if edited is Edited.CONFLICT:
            raise EditConflict("The webhook endpoint was edited meanwhile.")
        await self.heal(seen.id)

    async def delete(self, endpoint_id: str) -> None:
        """Forget an endpoint with its positions, parked events and dead letters. Safe to repeat."""
        await self._execute("HDEL", WEBHOOKS, endpoint_id)
        for keys in self._shards:
            await _UNSUBSCRIBE.run(
                self._execute,
                {
                    "cursors": keys.cursors,
                    "lock": keys.forwarder_lock(endpoint_id),
                    "retries": keys.retries(endpoint_id),
                    "dead_letters": keys.dead_letters(endpoint_id),
                    "parked": keys.parked(endpoint_id),
                    "health": keys.health(endpoint_id),
                    "log": keys.attempts(endpoint_id),
                    "failures": keys.failures(endpoint_id),
                    "endpoint": endpoint_id,
                },
            )

    async def heal(self, endpoint_id: str) -> None:
        """Bring the positions in line with the record: made, suspended or taken away.

        Idempotent; also mends what a crash in the middle of `create`, `replace` or `delete` left.
        """
        record = await self._execute("HGET", WEBHOOKS, endpoint_id)
        if isinstance(record, bytes):
            endpoint = Endpoint.from_json(record)
            for keys in self._shards:
                if endpoint.state == "active":
                    await _SUBSCRIBE.run(
                        self._execute,
                        {
                            "events": keys.events,
                            "cursors": keys.cursors,
                            "health": keys.health(endpoint_id),
                            "endpoint": endpoint_id,
                            "start": endpoint.start,
                        },
                    )
                else:
                    at_home = keys.shard == shard_of(endpoint_id, shards=len(self._shards))
                    await _SUSPEND.run(
                        self._execute,
                        {
                            "cursors": keys.cursors,
                            "events": keys.events,
                            "given_now": self._clock(),
                            "endpoint": endpoint_id,
                            "reason": endpoint.disabled_reason if at_home else "",
                        },
                    )
            if await self._execute("HGET", WEBHOOKS, endpoint_id) == record:
                return
            await self.heal(endpoint_id)
        else:
            await self.delete(endpoint_id)
