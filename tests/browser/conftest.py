"""Fixtures of the browser tests: one Chromium, a fresh browser profile per test, the stand-in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.standin import Standin, running
from tests.support.browser import chromium_path, visible_user_agent
from tests.support.firefox import firefox_path
from tests.support.waiting import wait_until_async

PAGES: Final = Path(__file__).parent / "pages"

# Visibility belongs to the window system; a test says what it is.
SET_VISIBILITY: Final = """state => {
  Object.defineProperty(document, "visibilityState", {configurable: true, get: () => state});
  Object.defineProperty(document, "hidden", {configurable: true, get: () => state !== "visible"});
  document.dispatchEvent(new Event("visibilitychange", {bubbles: true}));
}"""

# The queue stub of the integration code, and what the page says to it before the tag is there.
STUB: Final = """<script>
  window.dni = window.dni || function () { (dni.q = dni.q || []).push(arguments); };
  %s
</script>"""

# A page's own view of its errors, before anything else runs in it.
RECORD_ERRORS: Final = """
  window.pageErrors = [];
  addEventListener("error", event => pageErrors.push(String(event.message)));
  addEventListener("unhandledrejection", event => pageErrors.push(String(event.reason)));
"""


@dataclass(slots=True)
class Visit:
    """A visitor's browser on the customer's site."""

    context: BrowserContext
    standin: Standin
    page: Page = field(init=False)

    async def open(
        self,
        body: str,
        *,
        path: str = "/",
        snippet: str | None = None,
        referrer: str | None = None,
        wait: bool = True,
    ) -> Page:
        """Open a page with this body and the tag, in a new tab unless `page` is set."""
        tag = self.standin.snippet() if snippet is None else snippet
        self.standin.pages[path.partition("?")[0]] = (
            f"<!doctype html><html><head><title>Shop</title>{tag}</head><body>{body}</body></html>"
        )
        return await self.go(path, referrer=referrer, wait=wait)

    async def open_file(self, name: str, *, path: str = "/") -> Page:
        """Open a page of the `pages` folder; `{{tag}}` in it becomes the snippet."""
        page = (PAGES / name).read_text(encoding="utf-8")
        self.standin.pages[path] = page.replace("{{tag}}", self.standin.snippet())
        return await self.go(path)

    async def go(self, path: str, *, referrer: str | None = None, wait: bool = True) -> Page:
        """Follow a link of the site in the same tab, or start there."""
        if not hasattr(self, "page"):
            self.page = await self.context.new_page()
        browser = self.context.browser
        if referrer is not None and browser is not None and browser.browser_type.name == "firefox":
            # Its protocol cannot say where a visitor comes from.
            told = f"{{configurable: true, value: '{referrer}'}}"
            await self.page.add_init_script(f"Object.defineProperty(document, 'referrer', {told})")
        await self.page.goto(
            self.standin.site + path,
            referer=referrer or None,
            wait_until="load" if wait else "commit",
        )
        return self.page

    async def text(self, selector: str = "#number") -> str:
        """Return an element's text as it stands."""
        return await self.page.locator(selector).text_content() or ""

    async def shows(self, text: str, selector: str = "#number") -> None:
        """Wait until the element shows this text."""

        async def is_shown() -> bool:
            return await self.text(selector) == text

        await wait_until_async(is_shown, what=f"{selector} showing {text!r}")

    async def heard(self, path: str, times: int) -> None:
        """Wait until the service was asked so often."""
        await wait_until_async(
            lambda: len(self.standin.heard(path)) >= times, what=f"{times} × {path}"
        )
        assert len(self.standin.heard(path)) == times

    async def pass_time_until(
        self, condition: Callable[[], bool | Awaitable[bool]], *, step_ms: int = 2_000
    ) -> None:
        """Let the page's clock run step by step until the condition holds.

        Between two steps the page gets an answer from the service, so what it sent before has been
        answered too: else the driven clock would run into the tag's time limit for an answer.
        """

        async def stepped() -> bool:
            await self.page.clock.run_for(step_ms)
            await self.page.evaluate("url => fetch(url)", f"{self.standin.service}/tag.js?key=")
            holds = condition()
            return holds if isinstance(holds, bool) else await holds

        await wait_until_async(stepped)

    async def become(self, visibility: str) -> None:
        """Make the page `visible` or `hidden`."""
        await self.page.evaluate(SET_VISIBILITY, visibility)

    async def errors(self) -> list[str]:
        """Return what went wrong in the page, by its own account."""
        errors = await self.page.evaluate("pageErrors")
        assert isinstance(errors, list)
        return errors


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The Chromium to drive; looked for outside of any event loop, as the search may need one."""
    return chromium_path()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    """One running Chromium for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def user_agent(browser: Browser) -> str:
    """What a person's Chromium calls itself: without a window, it says so, as robots do."""
    return await visible_user_agent(browser)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox() -> AsyncIterator[Browser]:
    """One running Firefox, over WebDriver BiDi, for what is tested in both."""
    program = await asyncio.to_thread(firefox_path)
    async with async_playwright() as playwright:
        browser = await playwright.firefox.launch(channel="moz-firefox", executable_path=program)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session", params=["chromium", "firefox"])
async def each_visit(
    request: pytest.FixtureRequest, browser: Browser, firefox: Browser, standin: Standin
) -> AsyncIterator[Visit]:
    """A visitor who has not been here before, in the one browser and in the other."""
    context = await (browser if request.param == "chromium" else firefox).new_context()
    await context.add_init_script(RECORD_ERRORS)
    yield Visit(context, standin)
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, user_agent: str) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own: nothing stored, no cookies."""
    context = await browser.new_context(user_agent=user_agent)
    await context.add_init_script(RECORD_ERRORS)
    yield context
    await context.close()


@pytest.fixture
def standin() -> Iterator[Standin]:
    """The customer's site and the scriptable service."""
    with running() as standin:
        yield standin


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def galleries(
    browser: Browser, user_agent: str, firefox: Browser
) -> AsyncIterator[dict[str, Page]]:
    """By browser: a page whose visitor has numbers already."""
    with running() as standin:
        pages = {
            "chromium": await browser.new_page(user_agent=user_agent),
            "firefox": await firefox.new_page(),
        }
        for page in pages.values():
            visit = Visit(page.context, standin)
            visit.page = page
            await visit.open('<p id="number">(602) 555-0100 020 7946 0001</p><main></main>')
            await visit.shows("(602) 555-0123 020 7946 0789")
        yield pages
        for page in pages.values():
            await page.close()


@pytest.fixture(params=["chromium", "firefox"])
def gallery(request: pytest.FixtureRequest, galleries: dict[str, Page]) -> Page:
    """Such a page in either browser; tables of snippets are held into it, one by one.

    The pages are of the session, this is not: tests run in random order, and a page would be opened
    again with each turn from one browser to the other.
    """
    return galleries[request.param]


@pytest.fixture
def visit(context: BrowserContext, standin: Standin) -> Visit:
    """A visitor who has not been here before."""
    return Visit(context, standin)
