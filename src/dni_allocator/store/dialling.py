"""Opening connections: redis-py sets them up, the shared ones take its transport over."""

import asyncio
from collections.abc import Callable
from typing import cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisClusterException, RedisError

from dni_allocator.domain.errors import StoreUnavailable

AWAY = (RedisError, RedisClusterException, OSError, TimeoutError)
"""Out of reach. A cluster none of whose nodes answers, or with a slot that is nobody's, is no
`RedisError` to redis-py."""

CLOSED_UNDER_IT = (AttributeError, RuntimeError)
"""What comes of a call whose connection was closed under it: by redis-py, because another call met
a change of the cluster; or by the far side, before the first byte (RuntimeError of uvloop, where
asyncio has a ConnectionError). It was not answered, and whatever is sent here may be sent again."""


class Line:
    """Dials one place, again whenever it is asked to; holds the connection that is used now.

    `make` makes a connection of redis-py's, not yet connected. `admit` is asked before each
    dialling and raises `StoreUnavailable` to refuse. `took_over` hears of each failover that shows
    here: another address than before, or a server that became a replica.
    """

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        *,
        admit: Callable[[], None] | None = None,
        took_over: Callable[[], None] = lambda: None,
    ) -> None:
        self._make = make
        self._admit = admit
        self._took_over = took_over
        self._address: tuple[str, int] | None = None
        self._held: AbstractConnection | None = None

    async def dial(self) -> asyncio.Transport:
        """A new connection, set up by redis-py (TLS, AUTH, SELECT, Sentinel), as a bare transport.

        redis-py has no public way to take the transport over, hence the one private name.
        """
        if self._admit is not None:
            self._admit()
        await self.hang_up()
        try:
            # Held before it is connected: a dialling that is given up leaves nothing open.
            connection = self._held = self._make()
            # Without annotations in redis-py.
            await connection.connect()  # type: ignore[no-untyped-call]
        except (*AWAY, *CLOSED_UNDER_IT) as error:
            message = f"The store cannot be reached ({type(error).__name__})."
            raise StoreUnavailable(message) from error
        # A server on a socket has no address; it has no replica either.
        address = (getattr(connection, "host", ""), getattr(connection, "port", 0))
        if self._address not in (None, address):
            self._took_over()
        self._address = address
        writer = connection._writer  # noqa: SLF001 - see above
        if writer is None:
            message = "The store closed the connection at once."
            raise StoreUnavailable(message)
        # A stream's transport is one for reading too; its annotation leaves that out.
        return cast("asyncio.Transport", writer.transport)

    def demoted(self) -> None:
        """The server became a replica. Whatever is dialled next, this failover was heard of."""
        self._took_over()
        self._address = None

    async def hang_up(self) -> None:
        """Let redis-py close what it opened. Safe to repeat."""
        if self._held is not None:
            await self._held.disconnect(nowait=True)
            self._held = None
