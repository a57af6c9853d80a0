"""A real store under a driven clock, ready to ask: pools of fictional numbers, pages, visitors."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
import redis

from dni_allocator.domain.lease import Answer, Leased, PageRequest
from dni_allocator.domain.pool import Pool, PoolSettings
from dni_allocator.services.attribution import AttributionService
from dni_allocator.services.callers import Callers
from dni_allocator.services.calls import Calls
from dni_allocator.services.inventory import Inventory, NumberRow
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.sweeping import Sweeper
from dni_allocator.store.calls import CallStore
from dni_allocator.store.connection import Connection
from dni_allocator.store.directory import Directory
from dni_allocator.store.leases import LeaseStore, Stale, Unordered
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.scripts import Execute
from dni_allocator.store.shards import Shards
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.store.traffic_sources import TrafficSourceStore
from tests.support import invariants
from tests.support.clock import ManualClock

DAY_MS = 86_400_000
SHOP = "+16023133897"
SERVICE = "+16024961500"
SHARED = "+18005550100"
SETTINGS = PoolSettings(
    name="shop",
    country="US",
    destinations=(SHOP, SERVICE),
    idle_limit_s=300,
    closed_browser_delay_s=30,
)


def fictional(count: int, *, start: int = 0) -> list[str]:
    """Numbers nobody has: 555-0100 to 555-0199 of as many area codes as it takes."""
    areas = (602, 212, 415, 312, 617, 206, 305, 702, 303, 404)
    return [f"+1{areas[at // 100]}55501{at % 100:02d}" for at in range(start, start + count)]


@dataclass(slots=True)
class Rig:
    """The store and the services on it; every method is one thing a test says."""

    execute: Execute
    clock: ManualClock = field(default_factory=ManualClock)
    shards: Shards = field(init=False)
    leases: LeaseStore = field(init=False)
    pools: PoolStore = field(init=False)
    directory: Directory = field(init=False)
    shelves: ShelfStore = field(init=False)
    shelving: Shelving = field(init=False)
    inventory: Inventory = field(init=False)
    attribution: AttributionService = field(init=False)
    sweeper: Sweeper = field(init=False)
    call_store: CallStore = field(init=False)
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        """Wire it as `app.App` does."""
        self.shards = Shards(self.execute, 4, self.clock)
        self.leases = LeaseStore(self.shards)
        self.pools = PoolStore(self.shards)
        self.directory = Directory(self.execute)
        self.shelves = ShelfStore(self.shards)
        self.shelving = Shelving(shelves=self.shelves, pools=self.pools)
        self.inventory = Inventory(pools=self.pools, directory=self.directory)
        self.call_store = CallStore(self.shards, retention_ms=90 * DAY_MS, memory_ms=30 * DAY_MS)
        self.attribution = AttributionService(
            directory=self.directory,
            pools=self.pools,
            leases=self.leases,
            callers=Callers(self.call_store),
            sources=TrafficSourceStore(self.execute),
        )
        self.calls = Calls(store=self.call_store, attribution=self.attribution, pools=self.pools)
        self.sweeper = Sweeper(
            pools=self.pools,
            leases=self.leases,
            directory=self.directory,
            shelving=self.shelving,
        )

    async def pool(
        self,
        numbers: int | Sequence[str] = 1,
        *,
        settings: PoolSettings = SETTINGS,
        pool_id: str = "pool_a",
    ) -> Pool:
        """A pool with that many numbers, or these."""
        pool = Pool(
            id=pool_id, key=f"pk_{pool_id}", revision=1, created_at="2027-01-15T08:00:00Z",
            settings=settings,
        )  # fmt: skip
        await self.pools.create(pool)
        await self.directory.bind_key(pool.key, pool.id)
        wanted = fictional(numbers) if isinstance(numbers, int) else numbers
        if wanted:
            rows = [NumberRow(number) for number in wanted]
            result = await self.inventory.attach(pool.id, rows, all_or_nothing=True)
            assert not result.rejected, result.rejected
        return await self.pools.read(pool.id)

    async def edit(self, pool: Pool, **changes: object) -> Pool:
        """The pool with other settings."""
        # mypy cannot match names of a ** mapping with fields; a wrong one raises at once.
        settings = replace(pool.settings, **changes)  # type: ignore[arg-type]
        return await self.pools.edit(replace(pool, settings=settings))

    async def assign(
        self,
        pool: Pool,
        visitor_id: str,
        *,
        page_id: str = "page",
        destinations: Sequence[str] = (SHOP,),
        previous: dict[str, str] | None = None,
        data: str = "",
        refusal: str = "",
        entitled: bool = False,
        address: str = "",
    ) -> list[Answer]:
        """A page asks for its numbers, by the settings as they are."""
        request = PageRequest(
            visitor_id=visitor_id,
            page_id=page_id,
            destinations=tuple(destinations),
            previous=previous or {},
            data=data,
            refusal=refusal,
            entitled=entitled,
            address=address,
        )
        answers = await self.leases.assign(pool, request)
        if isinstance(answers, Unordered):
            await self.shelving.order(pool, answers.destinations)
            answers = await self.leases.assign(pool, request)
        assert not isinstance(answers, (Stale, Unordered))
        return answers

    async def lease(self, pool: Pool, visitor_id: str, *, page_id: str = "page") -> str:
        """The number a visitor gets for the shop; fails when it is not one of their own."""
        (answer,) = await self.assign(pool, visitor_id, page_id=page_id)
        assert isinstance(answer, Leased), answer
        return answer.formats.e164

    async def events(self, pool: Pool) -> list[dict[str, str]]:
        """What the outbox of the pool's shard holds, oldest first."""
        reply = await self.execute("XRANGE", self.shards.pool(pool.id).shard.events, "-", "+")
        assert isinstance(reply, list)
        found = []
        for _, fields in reply:
            flat = fields if isinstance(fields, list) else [x for kv in fields.items() for x in kv]
            texts = [part.decode() for part in flat]
            found.append(dict(zip(texts[::2], texts[1::2], strict=True)))
        return found


@pytest.fixture
async def rig(redis_url: str) -> AsyncIterator[Rig]:
    """A rig on an empty server; the invariants are checked when the test is over."""
    async with Connection(redis_url) as connection:
        yield Rig(connection.execute)
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)
