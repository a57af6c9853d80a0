"""The version of the layout: refused when newer, brought up by steps when older."""

import asyncio
from collections.abc import Mapping

import pytest

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.store import keys
from dni_allocator.store.migrating import SCHEMA_VERSION, STEPS, Step, check_layout
from dni_allocator.store.scripts import Execute
from tests.support.rig import Rig


def steps(done: list[int], *, broken: int = 0) -> Mapping[int, Step]:
    """Steps to 2 and 3 that say when they run; one of them may be broken."""

    def step(target: int) -> Step:
        async def run(execute: Execute) -> None:
            done.append(target)
            await execute("PING")
            if target == broken:
                message = "killed"
                raise StoreUnavailable(message)

        return run

    return {2: step(2), 3: step(3)}


async def _schema(rig: Rig) -> object:
    return await rig.execute("HGET", keys.META, "schema")


async def test_a_first_start_writes_the_present_version(rig: Rig) -> None:
    """And no step is run on data that are not there."""
    done: list[int] = []

    await check_layout(rig.execute, shards=4, steps=steps(done), version="3")

    assert (await _schema(rig), done) == (b"3", [])


async def test_older_data_are_brought_up_in_order(rig: Rig) -> None:
    """Each step once; the next start finds nothing to do."""
    done: list[int] = []
    await check_layout(rig.execute, shards=4, version="1")

    for _ in range(2):
        await check_layout(rig.execute, shards=4, steps=steps(done), version="3")

    assert (await _schema(rig), done) == (b"3", [2, 3])
    assert await rig.execute("EXISTS", keys.MIGRATING) == 0


async def test_a_step_that_is_killed_is_run_again(rig: Rig) -> None:
    """What was reached stays, and the lock is given back."""
    done: list[int] = []
    await check_layout(rig.execute, shards=4, version="1")

    with pytest.raises(StoreUnavailable):
        await check_layout(rig.execute, shards=4, steps=steps(done, broken=3), version="3")
    assert await _schema(rig) == b"2"
    await check_layout(rig.execute, shards=4, steps=steps(done), version="3")

    assert (await _schema(rig), done) == (b"3", [2, 3, 3])


async def test_one_process_brings_them_up_and_the_others_wait(rig: Rig) -> None:
    """Many that start at once: each step runs once."""
    done: list[int] = []
    await check_layout(rig.execute, shards=4, version="1")

    outcomes = await asyncio.gather(
        *(check_layout(rig.execute, shards=4, steps=steps(done), version="3") for _ in range(5)),
        return_exceptions=True,
    )

    assert done == [2, 3]
    assert {type(each) for each in outcomes} <= {type(None), StoreUnavailable}


@pytest.mark.parametrize(
    ("data", "said"), [("4", "schema=4"), ("strange", "schema=strange"), ("0", "no way")]
)
async def test_data_there_is_no_way_from_are_refused(rig: Rig, data: str, said: str) -> None:
    """Newer, unknown, or too old: nothing is guessed, nothing written."""
    await rig.execute("HSET", keys.META, "schema", data)

    with pytest.raises(ConfigurationError, match=said):
        await check_layout(rig.execute, shards=4, steps=steps([]), version="3")

    assert await _schema(rig) == data.encode()


async def test_another_number_of_shards_is_refused(rig: Rig) -> None:
    """Every pool would be looked for in the wrong place."""
    await check_layout(rig.execute, shards=4)

    with pytest.raises(ConfigurationError, match="DNI_SHARDS"):
        await check_layout(rig.execute, shards=5)


def test_there_is_a_step_to_every_version() -> None:
    """A version without its step would refuse everybody's data."""
    assert sorted(STEPS) == list(range(2, int(SCHEMA_VERSION) + 1))
