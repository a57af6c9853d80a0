"""Takes the picture of the demonstration for the documentation, from the real thing.

python -m tests.support.picture      writes docs/images/demo.png
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

from dni_allocator.store.embedded import EmbeddedServer
from tests.support.browser import chromium_path
from tests.support.demonstration import showing

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "demo.png"
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
        await browser.close()


def main() -> None:
    """Take it, on a store of its own."""
    chromium = chromium_path()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder)) as store:
        asyncio.run(
            take(PICTURE, chromium=chromium, redis_url=store.url, data_dir=Path(folder) / "demo")
        )


if __name__ == "__main__":
    main()
