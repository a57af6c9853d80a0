"""The quick start, followed word by word: the reader's own page shows the reader's own number."""

import asyncio
import json
import os
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.async_api import Browser

from tests.support.browser import visible_user_agent
from tests.support.program import answers, free_port, started
from tests.support.snippets import ROOT, blocks, script
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


GUIDE = ROOT / "docs" / "quick-start.md"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


async def _run(text: str, room: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DNI_")}
    ran = await asyncio.to_thread(
        subprocess.run, [bash, "-c", text], cwd=room, env={**kept, "NO_PROXY": "127.0.0.1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


@pytest.mark.timeout(120)
async def test_from_a_clone_to_a_number_of_ones_own(browser: Browser, tmp_path: Path) -> None:
    """Pool, numbers, page, and whose number it is; only the ports are others."""
    shell = [each for each in blocks(GUIDE) if each.is_run]
    assert len(shell) == 4, "pool, page, attribution, call"
    room, port = tmp_path / "room", free_port()
    room.mkdir()
    with (
        started(tmp_path, port),
        ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(room))) as server,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        address, site = f"http://127.0.0.1:{port}", f"127.0.0.1:{server.server_address[1]}"
        text = script(shell[:2], address).replace("127.0.0.1:8080", site)
        async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
            await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=60)

        await _run(text, room)
        context = await browser.new_context(user_agent=await visible_user_agent(browser))
        page = await context.new_page()
        await page.goto(f"http://{site}/page.html?utm_source=mail")
        await page.get_by_text("(602) 555-0101").wait_for()
        # The same terminal again: what it made is made, and the page is open.
        rest = script(shell[2:], address)
        known = text[text.index("export ") : text.index("curl -sS")]
        await _run(rest.replace("{\n", "{\n" + known, 1), room)

        link = await page.locator("a").get_attribute("href")
        told = json.loads((room / "out.0").read_text("utf-8"))
        call = json.loads((room / "out.1").read_text("utf-8"))
        await context.close()
        server.shutdown()
    assert link == "tel:+16025550101"
    # As the page shows them; the rest is of this run.
    shown = json.loads(next(each.text for each in blocks(GUIDE) if each.language == "json"))
    same = ("number", "basis", "confidence", "route_to", "ended_at", "referrer", "source",
            "source_name", "source_id", "medium", "told_by")  # fmt: skip
    assert {name: told[name] for name in same} == {name: shown[name] for name in same}
    assert told["fields"]["utm_source"] == call["attribution"]["fields"]["utm_source"] == "mail"
