"""A primary that Sentinels name: found by any of them, then one connection for all calls."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from dni_allocator.store.connection import Connection
from tests.support.cluster import Watched, watched


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A primary, two replicas, three Sentinels."""
    with watched(tmp_path_factory.mktemp("watched")) as both:
        yield both


async def test_all_calls_share_one_connection(trio: Watched) -> None:
    """The Sentinels are asked when it is dialled, not for each call."""
    async with Connection(trio.url) as connection:
        await connection.pipelined("SET", "key", "value")
        before = str(trio.primary.ask("CLIENT", "LIST", "TYPE", "normal")).count("id=")

        replies = await asyncio.gather(*(connection.pipelined("GET", "key") for _ in range(500)))

        assert set(replies) == {b"value"}
        assert str(trio.primary.ask("CLIENT", "LIST", "TYPE", "normal")).count("id=") == before


@pytest.mark.parametrize("how", ["frozen", "gone"])
async def test_a_sentinel_that_does_not_answer_is_passed_over(trio: Watched, how: str) -> None:
    """The first on the list may stand on the machine that failed: the others still are asked."""
    first = trio.sentinels[0]
    if how == "frozen":
        first.signal(signal.SIGSTOP)
    else:
        first.kill()
    try:
        async with Connection(trio.url, timeout_s=2) as connection:
            assert await connection.pipelined("SET", "key", how) == b"OK"
            assert await connection.execute("GET", "key") == how.encode()
    finally:
        if how == "frozen":
            first.signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(first.start)
