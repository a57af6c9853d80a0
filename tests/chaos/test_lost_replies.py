"""Replies that are lost after the command was carried out: what was asked happens once.

The client sends the command again, so the script runs twice. Each operation of the HTTP surface
is tried with the reply of its first command lost, then with that of its second, and so on.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dni_allocator.store.embedded import EmbeddedServer
from tests.chaos.operations import OPERATIONS, Shape, Stage, differences, staged
from tests.support import invariants


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(valkey_server: EmbeddedServer) -> AsyncIterator[Stage]:
    """One for all operations."""
    async with staged(valkey_server) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", OPERATIONS)
async def test_whatever_reply_is_lost_the_operation_happens_once(stage: Stage, name: str) -> None:
    """The answer is the one it would have been, and so is everything that is kept."""
    operation = OPERATIONS[name]

    async def tried(lost: int | None) -> tuple[int, Shape]:
        stage.empty()
        given = await stage.given()
        if lost is not None:
            stage.proxy.lose_reply(after=lost)
        answer = await operation(stage.service, given)
        return answer.status_code, stage.shape()

    expected = await tried(None)
    assert expected[0] < 300, expected
    lost = 0
    while True:
        before = stage.proxy.lost
        found = await tried(lost)
        if stage.proxy.lost == before:
            break
        differs = differences(expected[1], found[1])
        assert (found[0], differs) == (expected[0], {}), f"reply {lost} lost: expected, found"
        lost += 1
    stage.proxy.keep_replies()

    assert lost > 0, "no reply was lost"
    invariants.check(stage.store)
