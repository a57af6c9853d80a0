"""Which connections owe the rest of a request, or do not read, and which only look like it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from dni_allocator.cli.corked import (
    LARGEST_HEAD,
    LARGEST_REQUEST,
    MOST_AHEAD,
    CorkedHttpProtocol,
)
from dni_allocator.cli.dawdlers import LEAST_READ, Dawdlers

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Answering = Callable[[Receive, Send], Awaitable[None]]


class Wire(asyncio.Transport):
    """A connection whose other end is this test."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False
        self.closed = False
        self.unread = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """What the client would read."""
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        """What the client has not taken from us."""
        return self.unread

    def is_closing(self) -> bool:
        """Whether it was closed by us."""
        return self.closed or self.aborted

    def close(self) -> None:
        """An end in good order."""
        self.closed = True

    def abort(self) -> None:
        """The end without ceremony."""
        self.aborted = True

    def pause_reading(self) -> None:
        """Let it wait in the kernel."""

    def resume_reading(self) -> None:
        """Go on."""


class Line:
    """One connection to an application, with its wire."""

    def __init__(self, answer: Answering) -> None:
        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await answer(receive, send)

        config = uvicorn.Config(app, interface="asgi3", log_config=None)
        self.wire = Wire()
        self.protocol = CorkedHttpProtocol(config, ServerState(), {})
        self.protocol.connection_made(self.wire)

    async def sends(self, data: bytes) -> None:
        """Let the client send, and the application do what it can."""
        self.protocol.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)


START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"ok"}


async def _obliging(receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(END)


async def _busy(receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.Event().wait()
    await send(START)


async def _telling(receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    await asyncio.Event().wait()


Opening = Callable[[Answering], Line]


@pytest.fixture
async def opened() -> AsyncIterator[Opening]:
    """Opens connections; what their applications still wait for is ended afterwards."""
    lines: list[Line] = []

    def opening(answer: Answering) -> Line:
        lines.append(Line(answer))
        return lines[-1]

    yield opening
    left = [task for line in lines for task in line.protocol.tasks]
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.mark.parametrize(
    "sent",
    [[b""], [b"\r\n"], [GET[:9]], [GET[:-2]], [HEAD], [HEAD + b"12345"], [CHUNKED + b"1\r\na\r\n"],
     [CHUNKED + b"0\r\nx: y"], [GET, GET[:9]], [GET, HEAD + b"1"]],
    ids=["nothing", "line-end", "half-line", "half-head", "no-body", "half-body", "half-chunks",
         "half-trailers", "half-second-head", "half-second-body"],
)  # fmt: skip
async def test_who_owes_a_request_is_cut(opened: Opening, sent: list[bytes]) -> None:
    """After the limit and not before it, however little is missing."""
    line, dawdlers = opened(_obliging), Dawdlers(longest_s=30)
    for part in sent:
        await line.sends(part)

    early = [dawdlers.cut([line.protocol], now) for now in (100.0, 129.9)]
    late = dawdlers.cut([line.protocol], 130.0)

    assert (early, late) == ([0, 0], 1)
    assert line.wire.aborted


@pytest.mark.parametrize(
    ("answering", "sent"),
    [(_obliging, GET), (_busy, GET), (_telling, GET), (_telling, HEAD + b"1")],
    ids=["idle-after-an-answer", "we-are-slow", "we-stream", "we-stream-before-the-body"],
)
async def test_whoever_waits_for_us_is_left_alone(
    opened: Opening, answering: Answering, sent: bytes
) -> None:
    """Idle connections are uvicorn's matter, slow answers ours; news is streamed for hours."""
    line, dawdlers = opened(answering), Dawdlers(longest_s=30)
    await line.sends(sent)

    found = [dawdlers.cut([line.protocol], now) for now in (0.0, 40.0, 4000.0)]

    assert found == [0, 0, 0]
    assert not line.wire.aborted


async def test_each_part_has_its_own_time(opened: Opening) -> None:
    """A slow head and a slow body: each within the limit, though both together are not."""
    line, dawdlers = opened(_obliging), Dawdlers(longest_s=30)
    await line.sends(HEAD[:9])
    dawdlers.cut([line.protocol], 0.0)
    await line.sends(HEAD[9:])

    dawdlers.cut([line.protocol], 25.0)
    dawdlers.cut([line.protocol], 50.0)
    await line.sends(b"1234567890")

    assert dawdlers.cut([line.protocol], 60.0) == 0
    assert line.wire.written.endswith(b"ok\r\n0\r\n\r\n")


async def test_an_answer_nobody_fetches_does_not_hold_a_closed_connection(opened: Opening) -> None:
    """Closed by us, but the client takes nothing: it goes, too."""
    line, dawdlers = opened(_obliging), Dawdlers(longest_s=30)
    await line.sends(GET)
    line.wire.close()

    assert [dawdlers.cut([line.protocol], now) for now in (0.0, 30.0)] == [0, 1]


@pytest.mark.parametrize("answering", [_obliging, _telling], ids=["an-answer", "a-stream"])
async def test_who_does_not_read_is_cut(opened: Opening, answering: Answering) -> None:
    """Slow read: an answer waits in our memory for as long as somebody likes."""
    line, dawdlers = opened(answering), Dawdlers(longest_s=30)
    await line.sends(GET)
    line.wire.unread = 10 * LEAST_READ

    found = [dawdlers.cut([line.protocol], now) for now in (0.0, 29.9)]
    line.wire.unread -= 1  # a byte now and then is no reading
    found += [dawdlers.cut([line.protocol], now) for now in (29.95, 31.0, 60.0)]

    assert found == [0, 0, 0, 0, 1]
    assert line.wire.aborted


async def test_a_slow_reader_who_goes_on_is_left_alone(opened: Opening) -> None:
    """A large list over a poor line, for hours: what counts is that it moves."""
    line, dawdlers = opened(_telling), Dawdlers(longest_s=30)
    await line.sends(GET)

    for second in range(0, 3600, 20):
        line.wire.unread = (3600 - second) * LEAST_READ
        dawdlers.cut([line.protocol], float(second))
    line.wire.unread = LEAST_READ // 2
    dawdlers.cut([line.protocol], 3600.0)
    line.protocol.pause_writing()
    line.protocol.resume_writing()
    line.protocol.pause_writing()
    dawdlers.cut([line.protocol], 3629.0)  # as much waits, but it is other bytes

    assert dawdlers.cut([line.protocol], 3650.0) == 0
    assert not line.wire.aborted


async def test_more_requests_ahead_than_anybody_sends_are_cut(opened: Opening) -> None:
    """A packet full of the smallest requests would be kept at a hundred times its size."""
    line = opened(_busy)
    await line.sends(GET * (MOST_AHEAD + 1))
    kept = not line.wire.aborted

    await line.sends(GET)

    assert kept
    assert line.wire.aborted


async def test_a_head_without_end_is_refused(opened: Opening) -> None:
    """Whatever httptools would keep of it; a large head in one packet is nobody's attack."""
    line = opened(_obliging)
    await line.sends(b"GET / HTTP/1.1\r\nHost: x\r\nx: ")
    await line.sends(b"y" * LARGEST_HEAD)
    kept = line.wire.closed

    await line.sends(b"y")
    await line.sends(b"y" * LARGEST_HEAD)

    assert not kept
    assert line.wire.closed
    assert line.wire.written.startswith(b"HTTP/1.1 431 ")
    assert line.wire.written.count(b"HTTP/1.1") == 1


async def test_trailers_without_end_are_cut(opened: Opening) -> None:
    """They come after the body's end, where no limit of the application looks."""
    line = opened(_obliging)
    await line.sends(CHUNKED + b"0\r\nx: ")

    for _ in range(LARGEST_REQUEST // 2**20):
        await line.sends(b"y" * 2**20)
    kept = not line.wire.aborted
    await line.sends(b"y")

    assert kept
    assert line.wire.aborted


async def test_the_next_request_is_counted_anew(opened: Opening) -> None:
    """A kept connection may send as much as it likes, request by request."""
    line = opened(_obliging)

    for _ in range(3):
        await line.sends(GET[:-2])
        await line.sends(b"x: " + b"y" * (LARGEST_HEAD - 100))
        await line.sends(b"\r\n\r\n")

    assert not line.wire.closed
    assert line.wire.written.count(b"200 OK") == 3
