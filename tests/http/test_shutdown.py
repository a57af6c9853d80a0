"""A real `dni-allocator serve` is told to stop while clients are at it."""

import asyncio
import signal
import subprocess
from pathlib import Path

import httpx

from dni_allocator.dashboard.access import COOKIE
from tests.support.program import answers
from tests.support.service import ADMIN_KEY, POOL
from tests.support.waiting import wait_until_async


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_sigterm_fails_no_request(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """Clients with kept connections go on until the listener is gone; none is cut off."""
    served = 0
    failed: list[str] = []
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base) as http:
        await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")
        made = await http.post(
            "/pools", json=POOL, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        )
        key = made.json()["key"]

        async def visit(visitor: int) -> None:
            nonlocal served
            body = {"key": key, "visitor_id": f"v{visitor}", "page_id": "p"}
            async with httpx.AsyncClient(base_url=base, timeout=10) as browser:
                while True:
                    try:
                        answer = await browser.post("/assign", json=body)
                    except httpx.ConnectError:
                        return  # the listener is gone: nothing was accepted, nothing is lost
                    except httpx.TransportError as error:
                        # A connection in the backlog when the listener closes is reset with it;
                        # as long as there is a listener nothing may be.
                        if await _listens(port):
                            failed.append(repr(error))
                        return
                    if answer.status_code != 200:
                        failed.append(answer.text)
                    served += 1

        visitors = [asyncio.create_task(visit(each)) for each in range(8)]
        await wait_until_async(lambda: served > 50, what="traffic")

        serve.send_signal(signal.SIGTERM)
        await wait_until_async(lambda: answers(http, "/readyz", 503), what="not ready")
        told = served
        await asyncio.gather(*visitors)

    assert failed == []
    assert served > told
    assert await wait_until_async(lambda: serve.poll() is not None, what="the end")
    assert serve.returncode == 0, (tmp_path / "log").read_text()
    assert not _server_of(tmp_path / "data"), "the embedded server was left behind"


async def test_a_page_that_listens_does_not_hold_the_process(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """Somebody has the dashboard open all day; told to stop, the service lets their page go."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")
        signed_in = await http.post(
            "/dashboard/login",
            data={"secret": ADMIN_KEY},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        headers = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE]}"}
        async with http.stream("GET", "/dashboard/live/pools", headers=headers) as page:
            lines = page.aiter_lines()
            assert await anext(lines) == "event: part"

            serve.send_signal(signal.SIGTERM)
            rest = [line async for line in lines]

    assert rest, "the stream was cut, not ended"
    assert await wait_until_async(lambda: serve.poll() is not None, what="the end")
    assert serve.returncode == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def _server_of(data_dir: Path) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if str(data_dir) in line]
