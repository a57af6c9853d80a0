"""The phone rings: who it was, told to a person, and delivered to the downstream store."""

import asyncio
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, Route

from dni_allocator.store.embedded import EmbeddedServer
from tests.support.demonstration import WRITTEN, Show, showing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AD = "/demo?utm_source=google&utm_medium=cpc&utm_campaign=june&gclid=EAIaIQ"


async def test_call_is_attributed_to_the_visitor_who_came_by_the_ad(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The button asks the service about the number on the page; the answer is that visitor's."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        await (await show.visitor()).open("/demo?utm_source=newsletter")
        visitor = await show.visitor()
        page = await visitor.open(AD)

        answer = await call(page)

        assert "is on the site right now: 100\u00a0%\u00a0sure" in answer["verdict"]
        assert (await visitor_id(page))[:8] in answer["verdict"]
        assert answer["Dialed"] == "+1" + digits(await visitor.number(page))
        assert answer["Came from"] == "google / cpc"
        assert answer["Campaign"] == "june"
        assert answer["Click id"] == "EAIaIQ"
        assert answer["Route the call to"] == "+1" + digits(WRITTEN)
        assert visitor.complaints == []


async def test_call_is_recorded_and_delivered(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The played call is a record like any: the downstream store has it, with its visitor."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        page = await visitor.open(AD)
        number = await visitor.number(page)

        await call(page)

        shown = page.locator("#received li", has_text="call.started")
        await shown.wait_for()
        assert f"{number} · from google" in (await shown.text_content() or "")
        (recorded,) = (await show.admin.get("/calls")).raise_for_status().json()["calls"]
        assert recorded["attribution"]["visitor_id"] == await visitor_id(page)
        (event,) = [each for each in await received(show) if each["type"] == "call.started"]
        payload = event["payload"]
        assert isinstance(payload, dict)
        assert payload["data"]["call_id"] == recorded["id"]


async def test_a_called_number_is_held_for_its_visitor(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """Whoever left after the call leaves a number that nobody else is given at once."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        leaving, watching = await show.visitor(), await show.visitor()
        left = await leaving.open()
        number = await leaving.number(left)
        await call(left)
        page = await watching.open()

        await leaving.leave(left)
        await show.becomes(number, "closing")
        await show.pass_time(10)

        await page.locator(f"{pool_row(number)}[data-state=held]").wait_for()
        await show.pass_time(20)
        await page.locator(f"{pool_row(number)}[data-state=free]").wait_for()


async def test_assignment_arrives_at_the_sink_signed_and_is_shown(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The page shows what the downstream store has; that takes nothing without our signature."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        page = await visitor.open(AD)
        number = await visitor.number(page)

        shown = page.locator("#received li", has_text=number)
        await shown.wait_for()

        (event,) = await received(show)
        assert await shown.get_attribute("data-event") == event["id"]
        assert event["type"] == "number.assigned"
        assert event["visitor_id"] == await visitor_id(page)
        text = await shown.text_content() or ""
        assert "number.assigned" in text
        assert "from google" in text
        assert "verified ✓" in text
        async with httpx.AsyncClient(trust_env=False) as stranger:
            forged = await stranger.post(
                f"{show.demo.sink_url}/events", json={"type": "number.assigned", "data": {}}
            )
        assert forged.status_code == httpx.codes.UNAUTHORIZED
        assert len(await received(show)) == 1


async def test_end_of_a_lease_is_seen_in_the_pool_and_at_the_sink(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """One tab is left, the other watches: the number comes free and the store hears of it."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        leaving, watching = await show.visitor(), await show.visitor()
        left = await leaving.open()
        number = await leaving.number(left)
        page = await watching.open()
        row = page.locator("#pool li", has_text=number)
        await page.locator(f"{pool_row(number)}[data-state=leased]").wait_for()

        await leaving.leave(left)
        await show.becomes(number, "closing")
        await show.pass_time(10)

        await page.locator(f"{pool_row(number)}[data-state=free]").wait_for()
        assert "free" in (await row.text_content() or "")
        ended = page.locator("#received li", has_text="lease.ended")
        await ended.wait_for()
        assert f"{number} · last page closed" in (await ended.text_content() or "")


async def test_becoming_somebody_else_gives_another_number(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The button forgets who this browser was: to the service it is a newcomer."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        page = await visitor.open()
        before = await visitor.number(page), await visitor_id(page)

        async with page.expect_navigation():
            await page.get_by_role("button", name="become somebody else").click()
        await visitor.answered(page)

        after = await visitor.number(page), await visitor_id(page)
        assert before[0] != after[0]
        assert before[1] != after[1]
        await show.becomes(before[0], "closing")


async def test_page_keeps_its_number_when_the_service_is_stopped(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The company's page lives elsewhere and knows nothing of us: it stays as it was written."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        files = {path: await fetch(show, path) for path in PAGE_FILES}
        url = show.demo.url
        visitor = await show.visitor()
        # As a web server of the company's own would serve it.
        await visitor.context.route(
            lambda address: address.removeprefix(url) in files,
            lambda route: serve(route, files[route.request.url.removeprefix(url)]),
        )
        await show.stop()

        page = await visitor.open()

        assert await visitor.number(page) == WRITTEN
        assert "keeps its original number" in (await page.locator("#status").text_content() or "")


async def test_page_keeps_its_number_when_the_store_is_gone(
    browser: Browser, tmp_path: Path
) -> None:
    """Nothing can be promised then: whoever returns sees what the page's author wrote."""
    with EmbeddedServer.start(tmp_path / "store", durable=False) as store:
        async with showing(browser, redis_url=store.url, data_dir=tmp_path) as show:
            visitor = await show.visitor()
            page = await visitor.open()
            assert await visitor.number(page) != WRITTEN

            await asyncio.to_thread(store.stop)
            await visitor.reload(page)

            assert await visitor.number(page) == WRITTEN
            assert "does not answer" in (await page.locator("#status").text_content() or "")


async def test_call_to_a_number_of_nobody_is_answered_in_words(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """A paused pool leaves the page as it is; the service knows nothing of that number."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        await show.edit_pool(paused=True)
        visitor = await show.visitor()
        page = await visitor.open()

        answer = await call(page)

        assert await visitor.number(page) == WRITTEN
        assert answer["verdict"].startswith(f"Called +1{digits(WRITTEN)}. No pool has this number")


async def test_page_loads_nothing_from_elsewhere(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """It works without the internet, and a strict content security policy holds."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        asked: list[str] = []
        visitor.context.on("request", lambda request: asked.append(request.url))

        page = await visitor.open()
        await call(page)

        assert len(asked) >= len(PAGE_FILES)
        assert [url for url in asked if not url.startswith(show.demo.url)] == []
        policy = (await fetch(show, "/demo")).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert visitor.complaints == []


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_page_fits_its_window(
    browser: Browser, redis_url: str, tmp_path: Path, width: int
) -> None:
    """From a small phone up nothing has to be scrolled sideways, the call's answer included."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor(width=width)
        page = await visitor.open(AD)

        await call(page)

        assert await page.evaluate("document.documentElement.scrollWidth") <= width


PAGE_FILES = ("/demo", "/demo/static/page.css", "/demo/static/page.js", "/demo/static/icon.svg")


async def call(page: Page) -> dict[str, str]:
    """Press the button; the answer's sentence under `verdict`, its lines under their names."""
    await page.get_by_role("button", name="Call it").click()
    verdict = page.locator(".verdict")
    await verdict.wait_for()
    names = await verdict.locator("dt").all_text_contents()
    values = await verdict.locator("dd").all_text_contents()
    sentence = await verdict.locator("p").text_content() or ""
    return {"verdict": sentence, **dict(zip(names, values, strict=True))}


async def visitor_id(page: Page) -> str:
    """Who this browser is, by the tag's own record."""
    found = await page.evaluate("JSON.parse(localStorage.getItem('dni')).id")
    assert isinstance(found, str)
    return found


async def received(show: Show) -> list[dict[str, object]]:
    """What the sink has."""
    async with httpx.AsyncClient(base_url=show.demo.sink_url, trust_env=False) as client:
        events = (await client.get("/events")).raise_for_status().json()["events"]
    assert isinstance(events, list)
    return events


async def fetch(show: Show, path: str) -> httpx.Response:
    """A file of the page."""
    return (await show.admin.get(path)).raise_for_status()


async def serve(route: Route, file: httpx.Response) -> None:
    """Answer a browser with this file."""
    await route.fulfill(body=file.content, content_type=file.headers["content-type"])


def pool_row(national: str) -> str:
    """Selector of a number's row in the pool."""
    return f'#pool li[data-number="+1{digits(national)}"]'


def digits(text: str) -> str:
    """The digits of a text."""
    return "".join(filter(str.isdigit, text))
