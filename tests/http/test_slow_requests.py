"""Slowloris and its relatives against the real program: nobody else notices, nothing is held."""

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx

from tests.support.program import answers, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL
from tests.support.waiting import wait_until_async

HALVES = {
    "nothing": b"",
    "line": b"POST /assign HT",
    "head": b"POST /assign HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "body": b"POST /assign HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{",
    "chunks": b"POST /assign HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "admin": b"POST /pools HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
    b"Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{" % ADMIN_KEY.encode(),
    "second": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /li",
    "endless header": b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 500_000,
    "endless headers": b"GET / HTTP/1.1\r\n" + b"X-More: 1\r\n" * 50_000,
    "endless line": b"GET /" + b"a" * 500_000,
    "ahead": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
    "unread": b"POST /assign HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{",
}
"""Requests that are not whole, by what is missing, or never will be."""

PER_HALF = 10


async def _until_cut(port: int, sent: bytes) -> bytes:
    """Open a connection, send this much, and read until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        # Reset is how a connection ends that still had something to say.
        with suppress(ConnectionError):
            writer.write(sent)
            while part := await reader.read(65_536):
                found += part
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return found


async def test_who_sends_slowly_holds_nothing(tmp_path: Path, port: int) -> None:
    """A hundred half requests: pages are served meanwhile, and each of the halves is cut."""
    (number,) = fictional(1)
    auth = {"Authorization": f"Bearer {ADMIN_KEY}"}
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, timeout=20) as http:
        with started(tmp_path, port, DNI_REQUEST_TIMEOUT_S="2"):
            await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=30)
            made = (await http.post("/pools", json=POOL, headers=auth)).json()
            attach = {"numbers": [number]}
            await http.post(f"/pools/{made['id']}/numbers", json=attach, headers=auth)
            body = {"key": made["key"], "visitor_id": "v", "page_id": "p"}
            slow = [
                asyncio.create_task(_until_cut(port, half))
                for half in HALVES.values()
                for _ in range(PER_HALF)
            ]
            served = [
                await http.post("/assign", json=body, headers={"Origin": ORIGIN}) for _ in range(20)
            ]

            cut = await asyncio.wait_for(asyncio.gather(*slow), timeout=40)

            after = await http.post("/assign", json=body, headers={"Origin": ORIGIN})
    assert {each.json()["numbers"][0]["number"] for each in [*served, after]} == {number}
    assert len(cut) == len(HALVES) * PER_HALF
    statuses = {each.split(b" ")[1] for each in cut if each}
    # The first of two, and what was too large to wait for; a reset may overtake a 431.
    assert statuses - {b"431"} == {b"200", b"413"}
