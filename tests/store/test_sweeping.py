"""The sweeper beside operators: what they do meanwhile is never undone."""

from collections.abc import Sequence

from dni_allocator.services.inventory import NumberRow
from dni_allocator.services.pools import Pools
from dni_allocator.services.sweeping import Sweeper
from dni_allocator.store.directory import Directory, Entry, Role
from dni_allocator.store.pools import Detached
from tests.support.rig import Rig, fictional

(NUMBER,) = fictional(1)


class Interrupting(Directory):
    """A directory in front of which an operator is quicker, once."""

    def __init__(self, rig: Rig, *, takes_it: Sequence[str]) -> None:
        super().__init__(rig.execute)
        self._rig = rig
        self._takes_it = list(takes_it)

    async def release(self, number: str, entry: Entry, *, answers_for_ms: int = 0) -> bool:
        """Attach the number again before the sweeper gives it up, and to others after that."""
        first, *others = self._takes_it
        row = [NumberRow(number)]
        await self._rig.inventory.attach(first, row, all_or_nothing=True)
        released = await super().release(number, entry, answers_for_ms=answers_for_ms)
        for pool_id in others:
            await self._rig.inventory.attach(pool_id, row, all_or_nothing=True)
        return released


async def drain(rig: Rig) -> None:
    """Pool a, whose only number leaves when the lease ends; and it has ended."""
    pool = await rig.pool([NUMBER], pool_id="pool_a")
    await rig.pool([], pool_id="pool_b")
    await rig.lease(pool, "ann")
    outcome = await rig.inventory.detach(pool.id, NUMBER, force=False)
    assert outcome is Detached.DRAINING
    rig.clock.advance(seconds=301)


def sweeper(rig: Rig, *, takes_it: Sequence[str]) -> Sweeper:
    """A sweeper that is interrupted."""
    directory = Interrupting(rig, takes_it=takes_it)
    return Sweeper(pools=rig.pools, leases=rig.leases, directory=directory, shelving=rig.shelving)


async def test_a_number_attached_again_while_swept_stays_in_its_pool(rig: Rig) -> None:
    """The sweeper gave up a claim that was needed again, and takes it back."""
    await drain(rig)

    await sweeper(rig, takes_it=["pool_a"]).sweep_once()

    assert await rig.directory.find(NUMBER) == Entry(role=Role.INVENTORY, pool_id="pool_a")
    assert await rig.pools.present("pool_a", [NUMBER]) == {NUMBER}


async def test_a_number_two_pools_reached_for_while_swept_is_in_one(rig: Rig) -> None:
    """The directory decides: the pool that lost it there gives it up."""
    await drain(rig)

    await sweeper(rig, takes_it=["pool_a", "pool_b"]).sweep_once()

    assert await rig.directory.find(NUMBER) == Entry(role=Role.INVENTORY, pool_id="pool_b")
    assert await rig.pools.present("pool_b", [NUMBER]) == {NUMBER}
    assert await rig.pools.present("pool_a", [NUMBER]) == set()


async def test_an_interrupted_deletion_is_finished_by_the_next(rig: Rig) -> None:
    """A process that died in the middle leaves nothing that cannot be cleared away."""
    pool = await rig.pool(fictional(3))
    await rig.pools.delete_some(pool, force=True, limit=1)

    await Pools(shelving=rig.shelving, pools=rig.pools, directory=rig.directory).delete(
        pool.id, force=False
    )

    assert await rig.execute("KEYS", "*") == []
    other = await rig.pool(fictional(3), pool_id="pool_b")
    assert (await rig.pools.occupancy(other.id)).attached == 3
