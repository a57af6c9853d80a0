"""A real Valkey for the tests: one for each test process, emptied before each test that asks.

The server is the embedded one of the product, so a missing server program fails the tests.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from dni_allocator.store.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The server of this test process, in memory only; tests that need a clean one take redis_url.

    Tests must not stop it: those that kill servers start one of their own.
    """
    data_dir = tmp_path_factory.mktemp("valkey")
    with EmbeddedServer.start(data_dir, durable=False) as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: EmbeddedServer) -> str:
    """Address of an empty server, as DNI_REDIS_URL takes it."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
        client.script_flush()
    return valkey_server.url


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the empty server that answers in bytes, as the store's own connections do."""
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=False) as client:
        yield client
