"""Vendors that answer too much, too slowly, elsewhere, or nonsense: none holds us, or is believed.

Their interfaces are outside (OWASP API10): a name that was taken over, a proxy in between, a bug.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from pydantic import BaseModel

from dni_allocator.vendors.rest import LARGEST_ANSWER, InDoubt, Patience, Rest

HURRY = Patience(answer_s=1.5, attempts=1, within_s=4.0, first_wait_s=0.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Found(BaseModel):
    """What we asked for."""

    sid: str


@asynccontextmanager
async def vendor_who(answers: Answering, *, asked: list[bytes]) -> AsyncIterator[str]:
    """Somebody who answers each request so; `asked` are their heads."""
    met: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        met.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                await answers(writer)
                await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for each in met:
            each.cancel()
        await asyncio.gather(*met, return_exceptions=True)


def _plain(*parts: bytes) -> Answering:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))

    return answer


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def _drop_by_drop(writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no single read waits for long."""
    writer.write(OK + b"\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _silence(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _head_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    while True:
        writer.write(b"X-More: " + b"a" * 60_000 + b"\r\n")
        await writer.drain()


BOMB = gzip.compress(b'{"sid":"' + b"a" * LARGEST_ANSWER + b'"}')

ANSWERS: dict[str, Answering] = {
    "endless": _endless,
    "drop-by-drop": _drop_by_drop,
    "silence": _silence,
    "endless-head": _head_without_end,
    "declared-huge": _plain(OK, b"Content-Length: 99999999999\r\n\r\n", b'{"sid":"PN"}'),
    "cut-short": _plain(OK, b"Content-Length: 99\r\n\r\n", b'{"sid":"PN"}'),
    "packed": _plain(OK, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB),
    "deep": _plain(OK, b"\r\n", b'{"sid":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not-json": _plain(OK, b"\r\n", b"<html>sorry</html>"),
    "not-ours": _plain(OK, b"\r\n", b'{"sid":["PN"]}'),
    "nothing": _plain(OK, b"Content-Length: 0\r\n\r\n"),
    "not-http": _plain(b"220 mail.example ESMTP\r\n"),
    "not-utf-8": _plain(OK, b"\r\n", b'{"sid":"\xff"}'),
    "elsewhere": _plain(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
    "elsewhere-for-good": _plain(
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: http://169.254.169.254/\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("buys", [False, True], ids=["question", "purchase"])
async def test_a_bad_answer_leaves_doubt_soon(name: str, buys: bool) -> None:  # noqa: FBT001 -- a column of the table
    """It is over within the time for one answer, and is taken for none: what was bought is open."""
    asked: list[bytes] = []
    async with vendor_who(ANSWERS[name], asked=asked) as url:
        rest = Rest(url, vendor="Vendor", auth=("AC", "secret"), patience=HURRY)

        asking = (
            rest.act("/numbers", Found, form={"number": "+16025550100"})
            if buys
            else rest.read("/numbers", Found)
        )
        with pytest.raises(InDoubt) as doubt:
            await asyncio.wait_for(asking, timeout=20)
        await rest.close()

    assert len(asked) == 1, "a redirect was followed, or a purchase repeated"
    assert b"accept-encoding: identity" in asked[0].lower()
    assert "secret" not in str(doubt.value)
    assert "6025550100" not in str(doubt.value)


async def test_a_large_answer_within_the_limit_is_read() -> None:
    """The limits above are none for a page of a thousand numbers."""
    sid = b"a" * (LARGEST_ANSWER // 2)
    answer = _plain(OK, b"Content-Length: %d\r\n\r\n" % (len(sid) + 10), b'{"sid":"%b"}' % sid)
    async with vendor_who(answer, asked=[]) as url:
        rest = Rest(url, vendor="Vendor", patience=Patience(attempts=1))

        found = await rest.read("/numbers", Found)
        await rest.close()

    assert found.sid.encode() == sid
