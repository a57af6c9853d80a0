"""One HTTP server among several of a process, on a socket that listens already.

Owns neither signals nor lifespans: whoever runs the parts starts and stops them in order.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from dni_allocator.cli.corked import CorkedHttpProtocol

REQUESTS_FINISH_WITHIN_S: Final = 3
_BACKLOG: Final = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `OSError`.

    It listens before anything else is started: two starts on one port cannot both go on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class PartServer(uvicorn.Server):
    """One of several servers of a process: signals are the business of whoever runs them all."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say so."""
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an application whose lifespan runs already; stop at the end of the block."""
    server = PartServer(
        uvicorn.Config(
            app,
            http=CorkedHttpProtocol,
            interface="asgi3",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,  # telemetry has set it up
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=REQUESTS_FINISH_WITHIN_S,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await task
