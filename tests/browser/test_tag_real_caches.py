"""The back-forward cache and prerendering as Chromium really does them, not as events say."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import Visit
from tests.browser.standin import Reply, Standin, always
from tests.support.browser import visible_user_agent
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NUMBER: Final = '<p id="number">602-555-0100</p>'

NOTE_RETURNS: Final = """<script>
  var returns = 0;
  addEventListener("pageshow", event => { returns += event.persisted; });
</script>"""

SPECULATING: Final = """<!doctype html><script type="speculationrules">
  {"prerender": [{"source": "list", "urls": ["/shop"], "eagerness": "immediate"}]}
</script><script>
  addEventListener("storage", event => { if (event.key === "go") location.href = "/shop"; });
</script>"""

# Tells the service what it is, and the page in front when it has got as far as a page can.
PRERENDERED: Final = """<script>
  const wasPrerendering = document.prerendering;
  const tell = what => fetch("%s/" + what, {method: "POST", body: JSON.stringify({
    wasPrerendering, isPrerendering: document.prerendering,
    text: document.querySelector("#number").textContent})});
  const wait = setInterval(() => {
    if (!window.dni?.keys) return;
    clearInterval(wait);
    tell("loaded").then(() => localStorage.setItem("go", 1));
  }, 20);
  new MutationObserver(() => tell("swapped")).observe(
    document.querySelector("#number"), {characterData: true, subtree: true});
</script>"""


@pytest_asyncio.fixture(loop_scope="session")
async def caching(chromium: Path, standin: Standin) -> AsyncIterator[Visit]:
    """A visitor whose browser keeps the pages that are left; the driver's default is not to."""
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        context = await browser.new_context(user_agent=await visible_user_agent(browser))
        yield Visit(context, standin)
        await browser.close()


async def test_page_that_really_comes_back_asks_under_a_new_id(caching: Visit) -> None:
    """The same document and script; the beacon gave the number back, so it asks for one anew."""
    page = await caching.open(NOTE_RETURNS + NUMBER)
    await caching.shows("602-555-0123")
    caching.standin.pages["/other"] = "<!doctype html><title>Other</title>"

    for returns in range(1, 3):
        await page.goto(f"{caching.standin.site}/other")
        await caching.heard("/close", times=returns)
        await page.go_back(wait_until="commit")
        await caching.heard("/assign", times=returns + 1)
        assert await page.evaluate("returns") == returns, "not out of the cache"
        await caching.shows("602-555-0123")

    assigns, closes = caching.standin.heard("/assign"), caching.standin.heard("/close")
    assert [each.text("page_id") for each in closes] == [
        each.text("page_id") for each in assigns[:2]
    ]
    assert len({each.text("page_id") for each in assigns}) == 3
    assert len({each.text("visitor_id") for each in assigns}) == 1


async def test_page_that_is_really_prerendered_takes_no_number(
    chromium: Path, standin: Standin, tmp_path: Path
) -> None:
    """Loaded ahead the tag is there and silent; shown, it asks. No driver: drivers forbid it."""
    for told in ("/loaded", "/swapped"):
        standin.answers[told] = always(Reply(status=204))
    standin.pages["/"] = SPECULATING
    standin.pages["/shop"] = (
        f"<!doctype html><head>{standin.snippet()}</head>{NUMBER}{PRERENDERED % standin.service}"
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    process = await asyncio.create_subprocess_exec(
        chromium,
        *options,
        profile,
        f"{standin.site}/",
        start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_until_async(lambda: standin.heard("/swapped"), what="the swapped page")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    assert [call.path for call in standin.calls] == ["/loaded", "/assign", "/swapped"]
    loaded, _, swapped = standin.calls
    assert loaded.body == {
        "wasPrerendering": True, "isPrerendering": True, "text": "602-555-0100",
    }  # fmt: skip
    assert swapped.body == {
        "wasPrerendering": True, "isPrerendering": False, "text": "602-555-0123",
    }  # fmt: skip
