"""One uvicorn server that drains: told to stop, it serves on until nobody sends it work."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import typer
import uvicorn

from dni_allocator.cli.dawdlers import Dawdlers
from dni_allocator.services.health import Health

_TICKS_A_SECOND = 10


class DrainingServer(uvicorn.Server):
    """SIGTERM: answer 503 on /readyz, serve on for `drain_s`, finish what is under way, end.

    Without this uvicorn closes its listener at once, while load balancers still send (measured:
    reliability of a rolling restart). Answers of the meantime carry `Connection: close`, so that
    no kept connection is cut between two requests. Ctrl-C, or a second SIGTERM, does not wait.
    """

    def __init__(
        self, config: uvicorn.Config, *, health: Health, drain_s: float, request_timeout_s: float
    ) -> None:
        super().__init__(config)
        self._dawdlers = Dawdlers(longest_s=request_timeout_s)
        self._health = health
        self._drain_s = drain_s
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, remember the loop for the signal handler, and say where it is."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                typer.echo(f"  Listening on http://{shown}:{port}")
        sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        """Once a second cut who takes too long to send a request; uvicorn has no limit for it."""
        if counter % _TICKS_A_SECOND == 0:
            self._dawdlers.cut(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM; end at once on anything else."""
        drains = self._health.draining
        # Also where nobody waits: pages that listen for news must let go of the process.
        self._health.draining = True
        if sig != signal.SIGTERM or drains or self._loop is None:
            super().handle_exit(sig, frame)
            return
        loop = self._loop
        end = super().handle_exit
        loop.call_soon_threadsafe(loop.call_later, self._drain_s, end, sig, frame)
