"""What the corked transport does when the client is gone before the cork is out."""

import asyncio
import socket
from typing import Any

import uvloop

from dni_allocator.cli.corked import _Corked


def test_an_answer_to_a_client_that_was_cut_is_dropped() -> None:
    """What clients do is no error of ours, though uvloop refuses to write on what is closed."""
    errors: list[dict[str, Any]] = []

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        here, there = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
        corked = _Corked(transport, loop)
        transport.abort()
        # Its handle is closed in the next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        corked.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await asyncio.sleep(0)
        corked.close()
        there.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(answer())

    assert errors == []
