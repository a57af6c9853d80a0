"""Takes the pictures for the documentation, from the real thing.

python -m tests.support.picture      writes docs/images/demo.png and docs/images/dashboard-*.png
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

from dni_allocator.store.embedded import EmbeddedServer
from tests.support.browser import chromium_path
from tests.support.demonstration import Show, showing

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
PICTURE: Final = IMAGES / "demo.png"
_GOOGLE: Final = "/demo?utm_source=google&utm_medium=cpc&utm_campaign=summer-tune-up&gclid=EAIaIQob"


async def take(picture: Path, *, chromium: Path, redis_url: str, data_dir: Path) -> None:
    """Three visitors, of whom one has left; the last one is called."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        async with showing(browser, redis_url=redis_url, data_dir=data_dir, driven=False) as show:
            gone, other, seen = [await show.visitor() for _ in range(3)]
            left = await gone.open("/demo?utm_source=facebook&utm_medium=paid_social")
            number = await gone.number(left)
            await gone.leave(left)
            await show.becomes(number, "ended")
            await other.open("/demo?utm_source=newsletter&utm_medium=email")
            page = await seen.open(_GOOGLE)
            await page.get_by_role("button", name="Call it").click()
            await page.locator(".verdict").wait_for()
            await page.locator("#received li").nth(3).wait_for()
            await page.locator("#pool .yours").wait_for()
            await page.mouse.move(0, 0)
            await page.screenshot(path=picture, full_page=True, animations="disabled")
            await dashboard(show, picture.parent)
        await browser.close()


async def dashboard(show: Show, folder: Path) -> None:
    """The pages of the dashboard, with what the three visitors left there."""
    context = await show.browser.new_context(viewport={"width": 1200, "height": 800})
    page = await context.new_page()
    await page.goto(f"{show.demo.url}/dashboard")
    secret = show.admin.headers["Authorization"].removeprefix("Bearer ")
    await page.get_by_label("Secret key").fill(secret)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/dashboard")
    pool = f"pools/{show.demo.stage.pool_id}"
    # Until the history has noted somebody: it lags some seconds behind.
    chart = page.locator("svg.spark polyline").first
    while not await chart.count():
        await page.wait_for_timeout(1000)
        await page.reload()
    pages = {"pools": "", "pool": pool, "calls": "calls", "webhooks": "webhooks"}
    pages |= {name: f"{pool}/{name}" for name in ("settings", "autoscale")}
    for name, path in pages.items():
        await page.goto(f"{show.demo.url}/dashboard/{path}".rstrip("/"))
        target = folder / f"dashboard-{name}.png"
        await page.screenshot(path=target, full_page=name == "pool", animations="disabled")
    await context.close()


def main() -> None:
    """Take it, on a store of its own."""
    chromium = chromium_path()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder)) as store:
        asyncio.run(
            take(PICTURE, chromium=chromium, redis_url=store.url, data_dir=Path(folder) / "demo")
        )


if __name__ == "__main__":
    main()
