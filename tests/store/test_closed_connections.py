"""Connections closed under a call, which uvloop and redis-py tell in words of their own."""

import asyncio
import socket
import struct
from collections import Counter
from threading import Thread

import pytest
import uvloop

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer

TRIES = 300


@pytest.mark.parametrize("error", [RuntimeError, AttributeError])
async def test_a_call_whose_connection_was_closed_is_sent_again(
    error: type[Exception], valkey_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not answered; the next connection is a new one."""
    async with Connection(valkey_server.url) as connection:
        ask = connection._client.execute_command  # noqa: SLF001 -- the seam to redis-py
        errors = [error("the handler is closed")]

        async def closed_once(*command: str) -> object:
            if errors:
                raise errors.pop()
            return await ask(*command)

        monkeypatch.setattr(connection._client, "execute_command", closed_once)  # noqa: SLF001

        assert await connection.execute("ECHO", "hello") == b"hello"
        assert not errors


def slam(listener: socket.socket) -> None:
    """Take connections and reset them at once, until the listener is closed."""
    while True:
        try:
            taken, _ = listener.accept()
        except OSError:
            return
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        taken.close()


def test_a_store_that_resets_connections_is_away_on_the_loop_of_production() -> None:
    """Whenever the reset comes: before the handshake, within it, or later. Never an error of ours.

    On another thread, so that it comes at any point of a call.
    """
    came: Counter[str] = Counter()

    async def knock(port: int) -> None:
        async with Connection(f"redis://127.0.0.1:{port}") as connection:

            async def scan(_: str) -> None:
                async for _ in connection.scan("*"):
                    pass

            for _ in range(TRIES):
                for ask in (connection.execute, connection.pipelined, scan):
                    try:
                        await ask("PING")
                    except StoreUnavailable:
                        came["away"] += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=slam, args=(listener,))
        thread.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(knock(listener.getsockname()[1]))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    assert came == {"away": 3 * TRIES}
