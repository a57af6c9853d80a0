"""What every store of this room shares: the way to Redis, the shards, the clock."""

from collections.abc import Callable
from dataclasses import dataclass

from dni_allocator.store.keys import PoolKeys, ShardKeys, shard_of
from dni_allocator.store.scripts import Execute, SendPacked


def redis_time() -> str:
    """The default clock: nothing given, so scripts ask Redis for the time."""
    return ""


@dataclass(frozen=True, slots=True)
class Shards:
    """Where things are: one `execute` for all, a fixed number of shards, one clock.

    `clock` returns what is handed to scripts as `now`: "" for Redis TIME, or ms as text where a
    test drives the time.
    """

    execute: Execute
    count: int
    clock: Callable[[], str] = redis_time
    send_packed: SendPacked | None = None

    def all(self) -> list[ShardKeys]:
        """Every shard, in order."""
        return [ShardKeys(shard) for shard in range(self.count)]

    def pool(self, pool_id: str) -> PoolKeys:
        """The keys of one pool. Needs no look-up: the id decides the shard."""
        return PoolKeys.of(ShardKeys(shard_of(pool_id, shards=self.count)), pool_id)
