"""Answers of the tag's calls as bytes, from the real program, which has a short way for them."""

import asyncio
import signal
from pathlib import Path

import httpx
import orjson

from tests.support.program import answers, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL
from tests.support.waiting import wait_until_async

Answer = tuple[int, dict[str, str], bytes]


class Line:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> "Line":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *requests: bytes) -> None:
        """Write all of it at once."""
        self._writer.write(b"".join(requests))

    async def answer(self) -> Answer:
        """The next answer: status, headers, body."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split(" ")[1]), headers, body

    async def ended(self) -> bool:
        """Whether the server closed it, with nothing more to say."""
        return await self._reader.read() == b""

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _request(call: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [
        f"POST /{call} HTTP/{version}", "Host: x", f"Origin: {ORIGIN}",
        f"Content-Length: {len(body)}", *headers,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_answers_are_the_same_whatever_the_way(tmp_path: Path, port: int) -> None:
    """Kept, closed, pipelined, of an older version, interrupted: each request has its answer."""
    (number,) = fictional(1)
    auth = {"Authorization": f"Bearer {ADMIN_KEY}"}
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, timeout=20) as http:
        with started(tmp_path, port, DNI_DRAIN_S="10") as process:
            await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=30)
            made = (await http.post("/pools", json=POOL, headers=auth)).json()
            attach = {"numbers": [number]}
            await http.post(f"/pools/{made['id']}/numbers", json=attach, headers=auth)
            body = orjson.dumps({"key": made["key"], "visitor_id": "v", "page_id": "p"})
            assign = _request("assign", body)

            kept = await Line.to(port)
            kept.send(assign)
            status, headers, first = await kept.answer()
            kept.send(assign)
            again = await kept.answer()

            assert status == again[0] == 200
            assert set(headers) == {
                "date", "content-type", "cache-control", "access-control-allow-origin", "vary",
                "content-length",
            }  # fmt: skip
            assert headers["access-control-allow-origin"] == ORIGIN
            assert orjson.loads(first)["numbers"][0]["number"] == number

            kept.send(assign, _request("heartbeat", body), _request("close", body), assign)
            piped = [await kept.answer() for _ in range(4)]

            assert [each[0] for each in piped] == [200, 200, 204, 200]
            assert "content-length" not in piped[2][1]
            assert [list(orjson.loads(each[2])) for each in (piped[0], piped[1])] == [
                ["visitor_id", "page_id", "heartbeat_s", "numbers"],
                ["expires_in_s", "heartbeat_s"],
            ]

            for last in (
                _request("assign", body, "Connection: close"),
                _request("assign", body, version="1.0"),
            ):
                line = await Line.to(port)
                line.send(last)
                told = await line.answer()
                assert (told[0], told[1]["connection"]) == (200, "close")
                assert await line.ended()
                line.close()

            patient = await Line.to(port)
            head = _request("assign", body, "Expect: 100-continue").removesuffix(body)
            patient.send(head)
            assert (await patient.answer())[0] == 100
            patient.send(body)
            assert (await patient.answer())[0] == 200
            patient.close()

            process.send_signal(signal.SIGTERM)
            await wait_until_async(lambda: answers(http, "/readyz", 503), what="not ready")
            kept.send(assign)
            told = await kept.answer()
            assert (told[0], told[1]["connection"]) == (200, "close")
            assert await kept.ended()
            kept.close()
            process.send_signal(signal.SIGTERM)  # do not wait for the rest
