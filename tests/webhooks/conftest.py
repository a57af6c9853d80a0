"""Parts of delivery: the store's connection, a driven clock, a receiver, the transport."""

import time
from collections.abc import AsyncIterator

import pytest

from dni_allocator.store.connection import Connection
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import LOOPBACK
from tests.support.receiver import Receiver, receiving


class RetryClock:
    """The time of the scripts: real time and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> str:
        """Now, as scripts take it."""
        return str(round((time.time() + self.ahead_s) * 1000))


@pytest.fixture
def clock() -> RetryClock:
    """A clock that can be put forward."""
    return RetryClock()


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """The store's own connection to an empty server."""
    async with Connection(redis_url) as opened:
        yield opened


@pytest.fixture
def endpoints(connection: Connection) -> Endpoints:
    """Endpoints over one shard."""
    return Endpoints(connection.execute, shards=1)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """The real transport, which may reach loopback."""
    async with HttpTransport(allowed=LOOPBACK) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything until told otherwise."""
    async with receiving() as listening:
        yield listening
