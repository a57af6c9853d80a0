"""Where on a page the tag finds a number, in Chromium and in Firefox."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.standin import Reply, always

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

READY = '<p id="number">602-555-0100</p>'

JSON_LD = (
    '<script id="place" type="application/ld+json">'
    '{"telephone": "%s", "faxNumber": "602-555-0100"}</script>'
)

# What stands in the page -> what it is then. `#place` is asked for its outer HTML.
PLACES = {
    "tel": (
        '<a id="place" href="tel:+(602) 555-0100">x</a>',
        '<a id="place" href="tel:+16025550123">x</a>',
    ),
    "sms": (
        '<a id="place" href="sms:6025550100?body=hi">x</a>',
        '<a id="place" href="sms:+16025550123?body=hi">x</a>',
    ),
    "title": ('<b id="place" title="602 555 0100"></b>', '<b id="place" title="602 555 0123"></b>'),
    "alt": ('<img id="place" alt="602.555.0100">', '<img id="place" alt="602.555.0123">'),
    "label": (
        '<b id="place" aria-label="6025550100"></b>',
        '<b id="place" aria-label="6025550123"></b>',
    ),
    "data": (
        '<b id="place" data-phone="+16025550100"></b>',
        '<b id="place" data-phone="+16025550123"></b>',
    ),
    "placeholder": (
        '<input id="place" placeholder="e.g. 602-555-0100">',
        '<input id="place" placeholder="e.g. 602-555-0123">',
    ),
    "placeholder of several lines": (
        '<textarea id="place" placeholder="602-555-0100">602-555-0100</textarea>',
        '<textarea id="place" placeholder="602-555-0123">602-555-0100</textarea>',
    ),
    "note behind it": (
        '<p id="place">602-555-0100<sup>2</sup></p>',
        '<p id="place">602-555-0123<sup>2</sup></p>',
    ),
    "label before it": (
        '<p id="place"><label>Line 2</label>602-555-0100</p>',
        '<p id="place"><label>Line 2</label>602-555-0123</p>',
    ),
    "split": (
        '<p id="place">(<b>602</b>) <i>555<u>-01</u></i>00</p>',
        '<p id="place">(<b>602</b>) <i>555<u>-01</u></i>23</p>',
    ),
    "split by comments": (
        '<p id="place">602-<!-- -->555-<!-- -->0100</p>',
        '<p id="place">602-<!-- -->555-<!-- -->0123</p>',
    ),
    "no-break spaces": (
        '<p id="place">602\u00a0555\u00a00100</p>',
        '<p id="place">602&nbsp;555&nbsp;0123</p>',
    ),
    "JSON-LD": (
        JSON_LD % "+1-602-555-0100",
        JSON_LD % "+1-602-555-0123",
    ),
    "two blocks": (
        '<div id="place"><p>602-555</p><p>-0100</p></div>',
        '<div id="place"><p>602-555</p><p>-0100</p></div>',
    ),
    "input's value": (
        '<input id="place" value="602-555-0100">',
        '<input id="place" value="602-555-0100">',
    ),
    "opted out": (
        '<p id="place" data-dni-noswap="">602-<b>555</b>-0100</p>',
        '<p id="place" data-dni-noswap="">602-<b>555</b>-0100</p>',
    ),
    "skipped": (
        '<p id="place" class="fax">602-555-0100</p>',
        '<p id="place" class="fax">602-555-0100</p>',
    ),
}


async def test_every_place_is_found(each_visit: Visit) -> None:
    """Whatever shows, says or dials the number says the same; code and fields stay."""
    snippet = each_visit.standin.snippet(options='data-skip=".fax"')
    body = "".join(f"<section>{html}</section>" for html, _ in PLACES.values())
    page = await each_visit.open(READY + body, snippet=snippet)
    await each_visit.shows("602-555-0123")
    # What nobody sees is looked at last, in slices.
    await page.wait_for_selector('[data-phone="+16025550123"]', state="attached")

    sections = await page.evaluate(
        'Array.from(document.querySelectorAll("section"), section => section.innerHTML)'
    )
    assert dict(zip(PLACES, sections, strict=True)) == {
        name: after for name, (_, after) in PLACES.items()
    }
    assert await each_visit.errors() == []


async def test_only_given_selectors_are_swapped(each_visit: Visit) -> None:
    """`data-only` leaves the rest of the page alone."""
    snippet = each_visit.standin.snippet(options='data-only=".phone"')
    await each_visit.open(
        '<p class="phone"><b id="number">602-555-0100</b></p><p id="other">602-555-0100</p>',
        snippet=snippet,
    )

    await each_visit.shows("602-555-0123")
    assert await each_visit.text("#other") == "602-555-0100"


async def test_open_shadow_roots_are_part_of_the_page(each_visit: Visit) -> None:
    """Also those of elements that are defined later, and what changes inside of them."""
    page = await each_visit.open(READY + "<x-card></x-card>")
    await each_visit.shows("602-555-0123")

    await page.evaluate(
        """customElements.define("x-card", class extends HTMLElement {
            connectedCallback() {
                this.attachShadow({mode: "open"}).innerHTML = "<p id=inside>602.555.0100</p>";
            }
        })"""
    )
    await each_visit.shows("602.555.0123", "#inside")
    await page.evaluate(
        """document.querySelector("x-card").shadowRoot.innerHTML = "<p id=inside>6025550100</p>" """
    )

    await each_visit.shows("6025550123", "#inside")


async def test_copy_of_a_swapped_place_goes_back_with_it(each_visit: Visit) -> None:
    """A carousel that clones its slides copies the visitor's number: it is known as such."""
    page = await each_visit.open(READY)
    await each_visit.shows("602-555-0123")
    await page.evaluate(
        """() => {
            const copy = document.querySelector("#number").cloneNode(true);
            copy.id = "copy";
            document.body.append(copy);
        }"""
    )
    each_visit.standin.answers["/assign"] = always(Reply(status=404))

    await page.evaluate('dni("set", {late: 1})')

    await each_visit.shows("602-555-0100")
    await each_visit.shows("602-555-0100", "#copy")


async def test_part_of_a_split_number_that_is_rewritten_is_settled_with_the_rest(
    each_visit: Visit,
) -> None:
    """A framework that renews one text node of a number gets the whole number right."""
    page = await each_visit.open('<p id="number">602-<b>555</b>-<i>0100</i></p>')
    await each_visit.shows("602-555-0123")

    await page.evaluate('document.querySelector("i").firstChild.data = "0199"')
    await each_visit.shows("602-555-0199")
    await page.evaluate('document.querySelector("i").firstChild.data = "0100"')

    await each_visit.shows("602-555-0123")


async def test_any_element_may_have_a_shadow_root(each_visit: Visit) -> None:
    """Widgets hang theirs on a plain `div`; a number right below the root counts, too."""
    page = await each_visit.open(READY + '<div id="host"></div>')
    await each_visit.shows("602-555-0123")

    await page.evaluate(
        """() => {
            const host = document.createElement("div");
            const root = host.attachShadow({mode: "open"});
            root.innerHTML = "602.555.0100 <p id=inside>6025550100</p>";
            document.querySelector("#host").append(host);
        }"""
    )

    await each_visit.shows("6025550123", "#inside")
    text = await page.evaluate('document.querySelector("#host div").shadowRoot.textContent')
    assert text == "602.555.0123 6025550123"


async def test_elements_with_a_hyphen_cost_nothing_more(each_visit: Visit) -> None:
    """Defined without a shadow root, never defined, or not for us to wait for: a still page."""
    define = "<script>customElements.define('x-light', class extends HTMLElement {})</script>"
    odd = "<x-light></x-light><x-never></x-never><svg><font-face></font-face></svg>"
    counting = """<script>
        var walks = 0;
        const create = document.createTreeWalker;
        document.createTreeWalker = (...given) => {
            walks++;
            return create.apply(document, given);
        };
    </script>"""
    page = await each_visit.open(counting + define + odd + '<button is="x-odd"></button>' + READY)
    await each_visit.shows("602-555-0123")

    await page.evaluate("new Promise(r => setTimeout(r, 50))")

    assert await page.evaluate("walks") == 1
    assert await each_visit.errors() == []


async def test_number_is_found_without_walking_the_page(each_visit: Visit) -> None:
    """The text of a subtree says whether a way leads to a number: only such ways are walked."""
    rows = "".join(
        f'<li class="row" id="r{at}"><a href="/item/{at}">Item {at}</a> <b>{at}.99</b></li>'
        for at in range(1700)
    )
    counting = """<script>
        var steps = 0;
        const {get} = Object.getOwnPropertyDescriptor(Node.prototype, "childNodes");
        Object.defineProperty(Node.prototype, "childNodes",
            {get() { steps++; return get.call(this); }});
    </script>"""
    page = await each_visit.open(f"{counting}<ul>{rows}</ul><main>{READY}</main>")
    await each_visit.shows("602-555-0123")

    assert await page.evaluate('document.querySelectorAll("*").length') > 5000
    assert 0 < await page.evaluate("steps") < 40


async def test_page_that_grows_while_it_is_scrolled_is_swapped_as_it_grows(
    each_visit: Visit,
) -> None:
    """Infinite scroll: what comes in is right in its first frame; nothing is asked again."""
    growing = """<div id="feed"></div><div id="end"></div><script>
        window.painted = new Set();
        let card = 0;
        const observer = new IntersectionObserver(entries => {
            if (!entries[0].isIntersecting || card >= 200) return;
            const cards = Array.from({length: 20}, () => `<article style="height: 90px">
                <h2>Card ${++card}</h2><a href="tel:6025550100">602.555.0100</a></article>`);
            feed.insertAdjacentHTML("beforeend", cards.join(""));
            const added = Array.from(feed.children).slice(-20);
            requestAnimationFrame(() => setTimeout(() => added.forEach(each => {
                const link = each.querySelector("a");
                painted.add(link.textContent + " " + link.getAttribute("href"));
            })));
            // Scrolled back into sight within a frame it would seem never to have left.
            observer.unobserve(end);
            observer.observe(end);
        }, {rootMargin: "200px"});
        observer.observe(end);
        const scroll = () => {
            scrollTo(0, document.documentElement.scrollHeight);
            if (card < 200) requestAnimationFrame(scroll);
        };
    </script>"""
    page = await each_visit.open(READY + growing)
    await each_visit.shows("602-555-0123")
    await page.evaluate("painted.clear(); scroll()")
    await page.wait_for_function("card >= 200")
    # Two frames after the last ones came in they have been painted.
    await page.evaluate(
        """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>
            setTimeout(done))))"""
    )

    assert await page.evaluate("document.querySelectorAll('article').length") == 200
    assert await page.evaluate("Array.from(painted)") == ["602.555.0123 tel:+16025550123"]
    assert "0100" not in await each_visit.text("#feed")
    assert len(each_visit.standin.heard("/assign")) == 1
    assert await each_visit.errors() == []


async def test_attribute_of_the_body_is_no_reason_to_look_at_the_page(each_visit: Visit) -> None:
    """Pages note scrolling in `data-` attributes of the body: one attribute is one look."""
    page = await each_visit.open(READY)
    await each_visit.shows("602-555-0123")

    walks = await page.evaluate(
        """() => new Promise(resolve => {
            let walks = 0;
            document.createTreeWalker = () => { walks++; };
            document.body.dataset.scroll = "1200";
            document.body.title = "602 555 0100";
            requestAnimationFrame(() => requestAnimationFrame(() => resolve(walks)));
        })"""
    )

    assert walks == 0
    assert await page.locator("body").get_attribute("title") == "602 555 0123"
