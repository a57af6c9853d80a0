"""One POST, whatever the receiver does."""

import asyncio

import pytest

from dni_allocator.webhooks.transport import LONGEST_ANSWER, HttpTransport
from tests.support.delivery import LOOPBACK
from tests.support.receiver import HANG, RESET, Receiver, receiving

HEADERS = {"webhook-id": "evt_s0_1-0"}


async def test_the_answer_as_it_came(transport: HttpTransport, receiver: Receiver) -> None:
    """Status, headers in lower case, body; and one connection for one request after the other."""
    receiver.answer = lambda _: 200
    receiver.headers, receiver.body = {"Retry-After": "7"}, b"thanks"

    answers = [await transport.send(receiver.url, headers=HEADERS, body=b"{}") for _ in range(5)]

    assert {(one.status, one.body, one.headers["retry-after"]) for one in answers} == {
        (200, b"thanks", "7")
    }
    assert receiver.connections == 1
    assert receiver.came[0].headers["host"] in receiver.url


async def test_redirects_are_answers(transport: HttpTransport, receiver: Receiver) -> None:
    """Following one would send signed data to somebody else, perhaps to the inside."""
    receiver.answer = lambda _: 307
    receiver.headers = {"location": receiver.url + "/elsewhere"}

    answer = await transport.send(receiver.url, headers=HEADERS, body=b"{}")

    assert answer.status == 307
    assert [one.path for one in receiver.came] == ["/hook"]


async def test_a_flood_is_not_read(transport: HttpTransport, receiver: Receiver) -> None:
    """64 KB tell enough; the connection is closed rather than drained."""
    receiver.answer = lambda _: 200
    receiver.body = b"x" * 5_000_000

    answers = [await transport.send(receiver.url, headers=HEADERS, body=b"{}") for _ in range(2)]

    assert [(one.status, len(one.body)) for one in answers] == [(200, LONGEST_ANSWER)] * 2
    assert receiver.connections == 2


async def test_silence_is_a_timeout(receiver: Receiver) -> None:
    """A receiver that hangs costs its time limit and no more."""
    receiver.answer = lambda _: HANG
    async with HttpTransport(allowed=LOOPBACK, timeout_s=0.2) as hasty:
        answer = await hasty.send(receiver.url, headers=HEADERS, body=b"{}")

    assert (answer.status, answer.failure) == (None, "timeout")


async def test_a_cut_connection_is_a_failure(transport: HttpTransport, receiver: Receiver) -> None:
    """On a new connection there is nothing to try again."""
    receiver.answer = lambda _: RESET

    answer = await transport.send(receiver.url, headers=HEADERS, body=b"{}")

    assert (answer.status, answer.failure) == (None, "connection")
    assert len(receiver.came) == 1


async def test_a_kept_connection_that_died_is_replaced(transport: HttpTransport) -> None:
    """A receiver that restarts between two events fails neither."""
    async with receiving() as before:
        port = int(before.url.split(":")[2].split("/")[0])
        first = await transport.send(before.url, headers=HEADERS, body=b"{}")
    async with receiving(port) as after:
        second = await transport.send(after.url, headers=HEADERS, body=b"{}")

    assert (first.status, second.status) == (204, 204)


async def test_nobody_listening_is_a_failure(transport: HttpTransport) -> None:
    """And no exception: the forwarder has a schedule for it."""
    async with receiving() as closed:
        url = closed.url

    answer = await transport.send(url, headers=HEADERS, body=b"{}")

    assert (answer.status, answer.failure) == (None, "connection")


async def test_rubbish_instead_of_http_is_a_failure(transport: HttpTransport) -> None:
    """Whatever listens on that port."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    answer = await transport.send(f"http://127.0.0.1:{port}/", headers=HEADERS, body=b"{}")

    server.close()
    await server.wait_closed()
    assert (answer.status, answer.failure) == (None, "connection")


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        ("http://127.0.0.1/", "refused"),
        ("https://localhost/", "refused"),
        ("https://[::1]/", "refused"),
        ("https://2130706433/", "refused"),
        ("http://8.8.8.8/", "refused"),
        ("https://8.8.8.8:22/", "refused"),
        ("https://169.254.169.254/latest/meta-data/", "refused"),
        ("https://user:secret@example.com/", "url"),
        ("file:///etc/passwd", "url"),
        ("https://", "url"),
        ("nonsense", "url"),
    ],
)
async def test_urls_that_are_never_called(url: str, failure: str) -> None:
    """The guard of `webhooks.guard`, through the front door."""
    async with HttpTransport() as guarded:
        answer = await guarded.send(url, headers=HEADERS, body=b"{}")

    assert (answer.status, answer.failure) == (None, failure)
