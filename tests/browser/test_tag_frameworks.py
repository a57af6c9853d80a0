"""Real React and Vue pages: hydration without mismatch, rendering over the swap."""

import pytest

from tests.browser.conftest import STUB, Visit
from tests.support.apps import bundled

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# What the servers of the two frameworks render.
RENDERED = {
    "react": '<main><p id="number">Call 602-555-0100 (<!-- -->0<!-- -->)</p>'
    '<a id="link" href="tel:6025550100">602-555-0100</a><button id="next">Next</button></main>',
    "vue": '<main><p id="number">Call 602-555-0100 (0)</p>'
    '<a id="link" href="tel:6025550100">602-555-0100</a><button id="next">Next</button>'
    "<!----></main>",
}


@pytest.mark.parametrize("framework", ["react", "vue"])
async def test_hydrated_page_is_swapped_and_stays_so(each_visit: Visit, framework: str) -> None:
    """With `data-wait` nothing is written before the framework has taken over the page."""
    each_visit.standin.files["/app.js"] = bundled(framework)
    root = f'<div id="root">{RENDERED[framework]}</div>'
    snippet = each_visit.standin.snippet(options="data-wait")
    body = STUB % "" + root + '<script src="/app.js"></script>'
    page = await each_visit.open(body, snippet=snippet)
    await each_visit.shows("Call 602-555-0123 (0)")
    # The second view has its number from memory before React runs, and must not write it.
    await page.reload()
    await each_visit.shows("Call 602-555-0123 (0)")

    for view in range(1, 4):
        await page.click("#next")
        await each_visit.shows(f"Call 602-555-0123 ({view})")

    await each_visit.shows("602.555.0123", "#later")
    assert await page.locator("#link").get_attribute("href") == "tel:+16025550123"
    assert await page.evaluate("recoverable") == []
    assert await each_visit.errors() == []
    assert len(each_visit.standin.heard("/assign")) == 2
