"""Takes the picture of a page before and after, for docs/tag.md, with the tag as it is.

python -m tests.support.tagpicture      writes docs/images/tag.png
"""

import asyncio
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from tests.browser.standin import running
from tests.support.browser import chromium_path, visible_user_agent

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "tag.png"

_WAYS: Final = (
    ("In a sentence", "Call us at (602) 555-0100, any day."),
    ("A call link", '<a href="tel:+16025550100">602.555.0100</a>'),
    ("Over several elements", "(<b>602</b>) <i>555</i>-<b>01</b>00"),
    ("With the country", "+1 602 555 0100"),
    ("Abroad", "+44 (0)20 7946 0001 or 020 7946 0001"),
    ("A placeholder", '<input placeholder="e.g. 602-555-0100" size="18">'),
    ("In a shadow root", "<x-phone></x-phone>"),
    ("Opted out", "<span data-dni-noswap>602-555-0100</span>"),
    ("Another number", "602-555-0199"),
)
_STYLE: Final = """<style>
  body { font: 16px/1.5 sans-serif; margin: 0; padding: 16px 24px; width: 430px; }
  h1 { font-size: 18px; margin: 0 0 8px; } table { border-collapse: collapse; width: 100%; }
  td { border-top: 1px solid #ddd; padding: 5px 0; } td:first-child { color: #666; width: 42%; }
</style>"""
_SHADOW: Final = """<script>
  customElements.define("x-phone", class extends HTMLElement {
    connectedCallback() { this.attachShadow({mode: "open"}).textContent = "602/555-0100"; }
  });
</script>"""


def _page(title: str, tag: str) -> str:
    rows = "".join(f"<tr><td>{name}</td><td>{html}</td></tr>" for name, html in _WAYS)
    return (
        f"<!doctype html><html><head><title>{title}</title>{_STYLE}{tag}</head><body>"
        f"<h1>{title}</h1><table>{rows}</table>{_SHADOW}</body></html>"
    )


async def take(browser: Browser, picture: Path) -> None:
    """One page without the tag and with it, side by side in two frames."""
    with running() as standin:
        standin.pages["/before"] = _page("As its author wrote it", "")
        standin.pages["/after"] = _page("As this visitor sees it", standin.snippet())
        frame = '<iframe src="{}" width="480" height="450" style="border: 1px solid #bbb"></iframe>'
        standin.pages["/"] = (
            '<!doctype html><body style="margin: 8px; width: 990px; white-space: nowrap">'
            + " ".join(frame.format(path) for path in ("/before", "/after"))
        )
        page = await browser.new_page(
            user_agent=await visible_user_agent(browser), viewport={"width": 1000, "height": 474}
        )
        await page.goto(standin.site)
        after = page.frames[2]
        await after.get_by_text("Call us at (602) 555-0123").wait_for()
        inside = "document.querySelector('x-phone').shadowRoot.textContent === '602/555-0123'"
        await after.wait_for_function(inside)
        await page.screenshot(path=picture)


async def _main() -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"]
        )
        await take(browser, PICTURE)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(_main())
