"""What of the room `store` one process has, made once and shared by all use cases."""

from collections.abc import Callable
from dataclasses import dataclass

from dni_allocator.settings import Settings
from dni_allocator.store.calls import CallStore
from dni_allocator.store.connection import Connection
from dni_allocator.store.directory import Directory
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.erasing import Scan
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.history import HistoryStore
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.outbox import Outbox
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.scripts import Execute
from dni_allocator.store.shards import Shards

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Two ways to the same data, and the stores that several use cases share.

    Scripts of the hot path share one connection (`pipelined`, `hot`), and so does what callers wait
    for while it rings; bulky administration has a pool of its own (`execute`, `bulk`), so that an
    import of numbers delays no page.
    """

    pipelined: Execute
    scan: Scan
    execute: Execute
    hot: Shards
    bulk: Shards
    directory: Directory
    leases: LeaseStore
    pools: PoolStore
    hot_pools: PoolStore
    calls: CallStore

    @classmethod
    def on(
        cls,
        connection: Connection,
        *,
        execute: Execute,
        settings: Settings,
        clock: Callable[[], str],
    ) -> "Stores":
        """The stores on one connection. `execute` is its guarded way, see `process.App`."""
        shards = settings.shards
        hot = Shards(connection.pipelined, shards, clock, connection.send_packed)
        bulk = Shards(execute, shards, clock)
        return cls(
            pipelined=connection.pipelined,
            scan=connection.scan,
            execute=execute,
            hot=hot,
            bulk=bulk,
            directory=Directory(connection.pipelined),
            leases=LeaseStore(hot),
            pools=PoolStore(bulk),
            hot_pools=PoolStore(hot),
            calls=CallStore(
                hot,
                bulk=bulk,
                retention_ms=settings.call_retention_days * _DAY_MS,
                memory_ms=settings.caller_memory_days * _DAY_MS,
            ),
        )

    def outboxes(self) -> list[Outbox]:
        """The outbox of every shard."""
        return [Outbox(self.execute, shard=shard) for shard in range(self.bulk.count)]

    def event_logs(self) -> list[EventLog]:
        """Every shard's events and attempts, to look back at."""
        return [EventLog(self.execute, shard=shard) for shard in range(self.bulk.count)]

    def endpoints(self) -> Endpoints:
        """The records of webhook endpoints."""
        return Endpoints(self.execute, shards=self.bulk.count)

    def history(self) -> HistoryStore:
        """Buckets of what happened in pools."""
        return HistoryStore(self.bulk)
