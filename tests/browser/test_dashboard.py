"""The dashboard as a person works at it: on the real service, in a real browser."""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.support import tagbuild
from tests.support.apps import APPS
from tests.support.demonstration import Show, showing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DEMO_POOL: Final = "Saguaro Air (demo)"
CLIPBOARD: Final = ["clipboard-read", "clipboard-write"]
SERIOUS: Final = {"serious", "critical"}

Sit = Callable[..., Awaitable["Desk"]]


@dataclass(slots=True)
class Desk:
    """Somebody's browser at the dashboard. `complaints`: what its console said."""

    show: Show
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    async def go(self, path: str = "") -> Page:
        """Open a page of the dashboard."""
        await self.page.goto(f"{self.show.demo.url}/dashboard{path}")
        return self.page

    async def press(self, name: str) -> None:
        """Press a button, and wait for the page behind it."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=name, exact=True).first.click()

    async def pool(self) -> Page:
        """Open the page of the demonstration's pool, by its name in the list."""
        await self.go()
        await self.page.get_by_role("link", name=DEMO_POOL).click()
        await self.page.wait_for_url("**/dashboard/pools/*")
        return self.page

    async def recorded_call(self) -> str:
        """Somebody opens the site and calls its number; the id of the call."""
        visitor = await self.show.visitor()
        number = await visitor.number(await visitor.open("/demo?utm_source=google"))
        call = {"number": "+1" + "".join(filter(str.isdigit, number)), "caller": "+16025550177"}
        recorded = await self.show.admin.post("/calls", json=call)
        made: str = recorded.raise_for_status().json()["id"]
        return made

    async def rules(self) -> Any:  # noqa: ANN401 - JSON
        """How the demonstration's pool scales, as the API tells it."""
        path = f"/pools/{self.show.demo.stage.pool_id}/autoscale"
        return (await self.show.admin.get(path)).json()["rules"]

    async def text(self) -> str:
        """What the page says."""
        return await self.page.locator("main").inner_text()


@asynccontextmanager
async def sitting(
    browser: Browser, redis_url: str, data_dir: Path, **context: object
) -> AsyncIterator[Desk]:
    """Sign in at the dashboard of a running demonstration. Time is the real one."""
    async with showing(browser, redis_url=redis_url, data_dir=data_dir, driven=False) as show:
        opened = await browser.new_context(**context)  # type: ignore[arg-type]
        page = await opened.new_page()
        desk = Desk(show, opened, page)
        page.on("console", lambda line: desk.complaints.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: desk.complaints.append(str(error)))
        secret = show.admin.headers["Authorization"].removeprefix("Bearer ")
        await desk.go()
        await page.get_by_label("Secret key").fill(secret)
        await desk.press("Sign in")
        yield desk
        await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demonstration keeps its secrets."""
    return tmp_path / "demo"


async def test_a_pool_is_made_filled_and_its_code_copied(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """The first day: a form, a list of numbers, a file of them, the snippet in the clipboard."""
    async with sitting(browser, redis_url, folder, permissions=CLIPBOARD) as desk:
        page = await desk.go()
        await page.get_by_role("link", name="New pool").click()
        await page.get_by_label("Name", exact=False).first.fill("Spring campaign")
        await page.get_by_label("Replacement numbers").fill("(602) 555-0143")
        await page.get_by_label("Origins of the pages").fill("https://spring.example")
        await page.get_by_label("Idle limit, seconds").fill("240")
        await page.get_by_label("Closed browser delay, seconds").fill("20")
        await desk.press("Make the pool")
        assert "Made." in await desk.text()

        await page.get_by_label("One a line").fill("+1 602 555 0150\n(602) 555-0151")
        await desk.press("Attach")
        await page.get_by_label("Or a CSV file").set_input_files(
            {
                "name": "numbers.csv",
                "mimeType": "text/csv",
                "buffer": b"number,label\n+16025550152,radio\nnonsense,x\n",
            }
        )
        await desk.press("Attach")

        assert "1 attached, 1 refused" in await desk.text()
        await page.get_by_role("link", name="Back to the pool").click()
        shown = page.locator("table:has(th:text('Shelf')) tbody tr")
        await shown.nth(2).wait_for()
        assert await shown.count() == 3
        await page.get_by_role("button", name="Copy").first.click()
        await page.get_by_role("button", name="Copied").wait_for()
        copied = await page.evaluate("navigator.clipboard.readText()")
        pools = (await desk.show.admin.get("/pools")).json()["pools"]
        (made,) = [pool for pool in pools if pool["name"] == "Spring campaign"]
        assert f"/tag.js?key={made['key']}" in copied
        assert (made["idle_limit_s"], made["closed_browser_delay_s"]) == (240, 20)
        # The page of the refused row has the status it deserves, which the console remarks on.
        assert [each for each in desk.complaints if "422" not in each] == []


async def test_a_visitor_is_seen_arriving(browser: Browser, redis_url: str, folder: Path) -> None:
    """Somebody opens the site; the page of the pool shows them, and nobody reloaded it."""
    async with sitting(browser, redis_url, folder) as desk:
        page = await desk.pool()
        await page.get_by_text("Nobody holds a number at the moment.").wait_for()

        visitor = await desk.show.visitor()
        number = await visitor.number(await visitor.open("/demo?utm_source=google"))

        digits = "".join(filter(str.isdigit, number))
        row = page.locator("[data-live] tbody tr", has_text=digits[-4:])
        await row.wait_for()
        # The count was read a moment before the list; the next part has both.
        await page.locator("[data-live] dd", has_text="1 of 8").wait_for()
        assert desk.complaints == []


async def test_a_number_rests_and_comes_back(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """Quarantine by hand, called off by hand, then detached: three buttons."""
    async with sitting(browser, redis_url, folder) as desk:
        page = await desk.pool()
        page.on("dialog", lambda dialog: dialog.accept())

        await desk.press("Quarantine +1 602-555-0101")
        assert "by hand, at the dashboard" in await desk.text()
        await desk.press("Put back +1 602-555-0101")
        assert "Back on its shelf." in await desk.text()
        await desk.press("Detach +1 602-555-0101")

        assert await page.locator("td", has_text="602-555-0101").count() == 0


async def test_settings_are_changed_in_the_form(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """What is wrong is said at its field and keeps what was typed; what is right is in force."""
    async with sitting(browser, redis_url, folder) as desk:
        page = await desk.pool()
        await page.get_by_role("link", name="Settings").click()
        await page.get_by_label("Replacement numbers").fill("12")
        await desk.press("Save")
        wrong = page.locator(".faulty", has=page.get_by_label("Replacement numbers"))
        assert await wrong.get_by_role("alert").is_visible()
        assert await page.get_by_label("Replacement numbers").input_value() == "12"

        await page.get_by_label("Replacement numbers").fill("(602) 555-0142")
        await page.get_by_label("Campaign").fill("Autumn")
        await desk.press("Save")

        assert "Saved." in await desk.text()
        answer = await desk.show.admin.get(f"/pools/{desk.show.demo.stage.pool_id}")
        assert answer.json()["campaign"] == "Autumn"


async def test_a_call_is_read_and_taken_away_as_a_table(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """Who called, whose number it was and where they came from; the filter; the file."""
    async with sitting(browser, redis_url, folder) as desk:
        visitor = await desk.show.visitor()
        number = await visitor.number(await visitor.open("/demo?utm_source=google&gclid=EAIa"))
        dialed = "+1" + "".join(filter(str.isdigit, number))
        call = {"number": dialed, "caller": "+16025550177"}
        recorded = await desk.show.admin.post("/calls", json=call)
        recorded.raise_for_status()

        page = await desk.go("/calls")
        await page.locator("tbody a").first.click()
        await page.wait_for_url("**/dashboard/calls/call_*")
        text = await desk.text()
        await desk.go("/calls?status=completed")
        none = await desk.text()
        await desk.go("/calls")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Export as CSV").click()
        path = await (await download.value).path()

        assert "live" in text
        assert "EAIa" in text
        assert "+1 602-555-0177" in text
        assert "No call matches." in none
        (row,) = csv.DictReader(io.StringIO(path.read_text("utf-8")))
        assert row["number"].lstrip("'") == dialed


async def test_numbers_are_bought(browser: Browser, redis_url: str, folder: Path) -> None:
    """Quantity, prefix, order: the numbers are in the pool when the vendor has delivered."""
    async with sitting(browser, redis_url, folder) as desk:
        page = await desk.pool()
        await page.get_by_label("Quantity").fill("2")
        await page.get_by_label("Prefix").fill("480555")
        await page.get_by_label("Vendor", exact=True).select_option("sandbox")

        await desk.press("Order")

        assert "Ordered" in await desk.text()
        done = page.locator("tr", has_text="sandbox").locator(".badge", has_text="done")
        await reloaded_until(page, done.is_visible)
        held = await desk.show.admin.get(f"/pools/{desk.show.demo.stage.pool_id}")
        assert held.json()["occupancy"]["numbers"] == 10


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_pool_is_told_how_to_scale(
    browser: Browser, redis_url: str, folder: Path, *, scripts: bool
) -> None:
    """From its page to the form; a mistake at its field; the rules; what they would do; no more."""
    async with sitting(browser, redis_url, folder, java_script_enabled=scripts) as desk:
        page = await desk.pool()
        page.on("dialog", lambda dialog: dialog.accept())
        assert "Off: the pool keeps the size that people give it." in await desk.text()
        await page.get_by_role("link", name="Set rules").click()
        await page.get_by_label("Least numbers").fill("12")
        await page.get_by_label("Most numbers").fill("4")
        await page.get_by_label("Budget a month").fill("40.10")
        await page.get_by_label("Vendor", exact=True).select_option("sandbox")
        await page.get_by_label("Area code").fill("602")
        await page.get_by_label("Dry run").check()
        await desk.press("Let it scale")
        assert await page.get_by_role("alert").first.is_visible()
        assert await desk.rules() is None
        assert await page.get_by_label("Budget a month").input_value() == "40.10"

        await page.get_by_label("Most numbers").fill("20")
        await desk.press("Let it scale")
        text = await desk.text()
        told = await desk.rules()
        await page.get_by_role("link", name=DEMO_POOL).click()
        await page.get_by_text("of 40.1").wait_for()
        await page.get_by_role("link", name="Rules", exact=True).click()
        await desk.press("Scale no more")

        assert "It would grow: buy" in text
        assert "dry run: nothing is done" in text
        assert (told["budget_per_month"], told["area_code"]) == ("40.10", "602")
        assert (told["dry_run"], told["vendor"], told["mode"]) == (True, "sandbox", "approval")
        pool = (await desk.show.admin.get(f"/pools/{desk.show.demo.stage.pool_id}")).json()
        assert (pool["min_size"], pool["max_size"]) == (12, 20)
        assert "The pool keeps the size that people give it." in await desk.text()
        assert await desk.rules() is None
        await desk.go("/audit")
        assert "POST /dashboard/pools/{pool_id}/autoscale/stop" in await desk.text()


async def test_an_event_is_sent_again(browser: Browser, redis_url: str, folder: Path) -> None:
    """The attempt stands in the list; one button, and the receiver has it twice, under one id."""
    async with sitting(browser, redis_url, folder) as desk:
        visitor = await desk.show.visitor()
        await visitor.open()
        page = await desk.go("/webhooks")
        await page.locator("tbody a").first.click()
        again = page.get_by_role("button", name="Send again").first
        await reloaded_until(page, again.is_visible)

        async with page.expect_navigation():
            await again.click()

        assert "Will be sent again." in await desk.text()

        async def came_twice() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                seen = await client.get(f"{desk.show.demo.url}/demo/received")
            return any(each["deliveries"] == 2 for each in seen.json()["events"])

        await reloaded_until(page, came_twice)


async def test_a_key_is_made_shown_once_used_and_revoked(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """From the form to the first request with it, and to the last."""
    async with sitting(browser, redis_url, folder) as desk:
        page = await desk.go("/keys")
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_label("Name").fill("Reporting")
        await page.get_by_label("read").check()
        await desk.press("Make the key")
        secret = await page.locator("#new-secret").inner_text()
        bearer = {"Authorization": f"Bearer {secret}"}

        async with httpx.AsyncClient(base_url=desk.show.demo.url, trust_env=False) as client:
            works = await client.get("/pools", headers=bearer)
            await desk.go("/keys")
            text = await page.content()
            await desk.press("Revoke Reporting")
            refused = await client.get("/pools", headers=bearer)

        assert works.status_code == 200
        assert secret not in text
        assert secret[:11] in text
        assert refused.status_code == 401
        await desk.go("/audit")
        assert "POST /dashboard/keys/{key_id}/revoke" in await desk.text()


def axe_core() -> str:
    """The judge of accessibility, as a script."""
    _, npm = tagbuild.find_node()
    tagbuild.install(npm, APPS)
    return (APPS / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


TOO_WIDE: Final = """() => [document.documentElement, ...document.querySelectorAll("dd, td, h1")]
  .filter(each => each.scrollWidth > each.clientWidth + 1)
  .map(each => each.outerHTML.slice(0, 80))"""

PAGES: Final = ["", "/new-pool", "/calls", "/webhooks", "/buying", "/keys", "/audit"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(
    browser: Browser, redis_url: str, folder: Path, scheme: str
) -> None:
    """axe-core finds nothing serious on any page, by day and by night, with things on it."""
    axe = axe_core()
    async with sitting(browser, redis_url, folder, color_scheme=scheme) as desk:
        call = await desk.recorded_call()
        (endpoint,) = (await desk.show.admin.get("/webhooks")).json()["webhooks"]
        pool = f"/pools/{desk.show.demo.stage.pool_id}"
        found = []
        for path in (*PAGES, pool, f"{pool}/settings", f"{pool}/autoscale", f"/calls/{call}",
                     f"/webhooks/{endpoint['id']}", "/pools/pool_none"):  # fmt: skip
            page = await desk.go(path)
            result = await page.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")
            found += [
                (path, each["id"], [node["target"] for node in each["nodes"]][:3])
                for each in result["violations"]
                if each["impact"] in SERIOUS
            ]

        assert found == [], json.dumps(found, indent=1)


async def test_the_door_is_accessible_too(browser: Browser, redis_url: str, folder: Path) -> None:
    """Whoever cannot sign in sees nothing else."""
    axe = axe_core()
    async with sitting(browser, redis_url, folder) as desk:
        await desk.press("Sign out")

        result = await desk.page.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")

        assert desk.page.url.endswith("/dashboard/login")
        assert [each["id"] for each in result["violations"] if each["impact"] in SERIOUS] == []


@pytest.mark.parametrize("width", [360, 1280])
async def test_pages_fit(browser: Browser, redis_url: str, folder: Path, width: int) -> None:
    """No page has to be pushed sideways, no figure runs into the next; wide tables scroll."""
    async with sitting(
        browser, redis_url, folder, viewport={"width": width, "height": 740}
    ) as desk:
        call = await desk.recorded_call()
        (endpoint,) = (await desk.show.admin.get("/webhooks")).json()["webhooks"]
        pool = f"/pools/{desk.show.demo.stage.pool_id}"
        wide = []
        for path in (*PAGES, pool, f"{pool}/settings", f"{pool}/autoscale", f"/calls/{call}",
                     f"/webhooks/{endpoint['id']}"):  # fmt: skip
            page = await desk.go(path)
            found = await page.evaluate(TOO_WIDE)
            if found:
                wide.append((path, found))

        assert wide == []


async def test_everything_works_without_scripts(
    browser: Browser, redis_url: str, folder: Path
) -> None:
    """Forms are forms: a browser that runs no script signs in, looks and changes."""
    async with sitting(browser, redis_url, folder, java_script_enabled=False) as desk:
        page = await desk.pool()

        await desk.press("Quarantine +1 602-555-0101")

        assert "by hand, at the dashboard" in await desk.text()
        await page.get_by_role("link", name="Settings").click()
        await page.get_by_label("Campaign").fill("Winter")
        await desk.press("Save")
        assert "Saved." in await desk.text()


async def reloaded_until(page: Page, holds: Callable[[], Awaitable[bool]]) -> None:
    """Load a page again until something is so: deliveries take their time."""
    for _ in range(100):
        if await holds():
            return
        await page.wait_for_timeout(200)
        await page.reload()
    pytest.fail("it did not become so")
