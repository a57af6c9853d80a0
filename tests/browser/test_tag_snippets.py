"""The integration code, pasted where it is meant to go, on pages of each kind."""

from typing import Final

import pytest

from dni_allocator.api.snippets import snippets
from tests.browser.conftest import Visit
from tests.browser.standin import TAG_KEY
from tests.support.apps import bundled
from tests.support.php import rendered

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NUMBER: Final = '<p id="number">602-555-0100</p>'

# What a container does with a Custom HTML tag: parses it apart from the page, and makes its scripts
# anew, with source, text and type, and without any other attribute.
TAG_MANAGER: Final = """<script>
  window.dataLayer = [{event: "gtm.js"}];
  const fire = html => {
    const parsed = document.createElement("div");
    parsed.style.display = "none";
    parsed.innerHTML = html;
    document.body.append(parsed);
    for (const old of parsed.querySelectorAll("script")) {
      const made = document.createElement("script");
      for (const name of ["src", "text", "type"]) if (old[name]) made[name] = old[name];
      old.replaceWith(made);
    }
  };
  addEventListener("load", () => setTimeout(() => fire(%s)));
</script>"""

# As much of WordPress as a theme's functions.php meets.
WORDPRESS: Final = """<?php
$hooks = [];
function add_action($name, $call) { global $hooks; $hooks[$name][] = $call; }
function wp_head() { global $hooks; foreach ($hooks['wp_head'] as $call) $call(); }
%s
?><!doctype html><html><head><title>Blog</title><?php wp_head(); ?></head>
<body><p id="number"><?php echo '602-555-0100'; ?></p></body></html>"""


@pytest.mark.parametrize("kind", ["html", "pinned_html"])
async def test_plain_page(each_visit: Visit, kind: str) -> None:
    """One element in the head, followed or pinned."""
    code = snippets(each_visit.standin.config(TAG_KEY))

    await each_visit.open(NUMBER, snippet=getattr(code, kind))

    await each_visit.shows("602-555-0123")
    assert await each_visit.errors() == []


async def test_pinned_page_loads_the_second_file_by_its_hash(each_visit: Visit) -> None:
    """The settings that stand in the page say what the second file must be: another is refused."""
    code = snippets(each_visit.standin.config(TAG_KEY))
    lazy = code.pinned_html.replace("<script ", "<script data-lazy data-more ")
    page = await each_visit.open(NUMBER, snippet=lazy)
    await each_visit.shows("602-555-0123")
    more = await page.evaluate('document.querySelector("script[src*=more]").integrity')
    assert more.startswith("sha384-")
    assert more in code.pinned_html.replace("&quot;", '"')

    each_visit.standin.second_file = b"document.title = 'taken over'"
    await each_visit.open(NUMBER, snippet=lazy, path="/again")

    await page.wait_for_function('document.querySelector("script[src*=more]")')
    await page.evaluate("new Promise(r => setTimeout(r, 50))")
    assert await page.title() == "Shop"
    assert await page.evaluate("typeof dni.more") == "undefined"


@pytest.mark.parametrize("options", ["", "&amp;lazy&amp;more"], ids=["as it is", "with options"])
async def test_tag_manager(each_visit: Visit, options: str) -> None:
    """Made anew after the page was loaded, without attributes; options are in the address."""
    code = snippets(each_visit.standin.config(TAG_KEY)).tag_manager.replace(
        TAG_KEY, TAG_KEY + options
    )
    quoted = "`" + code.replace("</script>", "<\\/script>") + "`"

    page = await each_visit.open(NUMBER + TAG_MANAGER % quoted, snippet="")

    await each_visit.shows("602-555-0123")
    assert await page.evaluate("!!dni.more") == bool(options)
    assert await page.evaluate(f"dni.keys.{TAG_KEY}.lazy") == ("" if options else None)
    assert await each_visit.errors() == []


async def test_wordpress(each_visit: Visit) -> None:
    """PHP runs the lines of functions.php; the page it renders has the element in its head."""
    code = snippets(each_visit.standin.config(TAG_KEY))
    each_visit.standin.pages["/"] = rendered(WORDPRESS % code.wordpress)

    await each_visit.go("/")

    await each_visit.shows("602-555-0123")
    assert await each_visit.page.locator("head script").count() == 1
    assert await each_visit.errors() == []


async def test_react(each_visit: Visit) -> None:
    """The component in a hydrated page, in strict mode: one script, no mismatch, swapped."""
    code = snippets(each_visit.standin.config(TAG_KEY))
    each_visit.standin.files["/app.js"] = bundled("react-snippet", code.react)
    root = '<main><p id="number">Call 602-555-0100 (0)</p><button id="next">Next</button></main>'
    body = f'<div id="root">{root}</div><script src="/app.js"></script>'

    page = await each_visit.open(body, snippet="")
    await each_visit.shows("Call 602-555-0123 (0)")
    for view in range(1, 3):
        await page.click("#next")
        await each_visit.shows(f"Call 602-555-0123 ({view})")

    assert await page.locator('script[src*="tag.js"]').count() == 1
    assert await page.evaluate("recoverable") == []
    assert await each_visit.errors() == []
