"""What the tag finds on a page and what it writes in its place."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Visit
from tests.browser.standin import PHOENIX, Reply, always, assigned, row

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def visit(each_visit: Visit) -> Visit:
    """All of this module holds in either browser."""
    return each_visit


# As a page may write it -> as it then reads. The pool's number is (602) 555-0123.
PHOENIX_FORMS = {
    "brackets": ("(602) 555-0100", "(602) 555-0123"),
    "brackets, no space": ("(602)555-0100", "(602)555-0123"),
    "dots": ("602.555.0100", "602.555.0123"),
    "hyphens": ("602-555-0100", "602-555-0123"),
    "spaces": ("602 555 0100", "602 555 0123"),
    "bare": ("6025550100", "6025550123"),
    "no-break spaces": ("602\u00a0555\u00a00100", "602\u00a0555\u00a00123"),
    "no-break hyphen": ("+1 (602) 555\u20110100", "+1 (602) 555\u20110123"),
    "en dash": ("602\u2013555\u20130100", "602\u2013555\u20130123"),
    "slashes": ("602/555-0100", "602/555-0123"),
    "plus": ("+1 602 555 0100", "+1 602 555 0123"),
    "one": ("1-602-555-0100", "1-602-555-0123"),
    "E.164": ("+16025550100", "+16025550123"),
    "country in brackets": ("+(1) 602 555 0100", "+(1) 602 555 0123"),
    "direction marks": ("\u200e+1 602 555 0100\u200e", "\u200e+1 602 555 0123\u200e"),
    "line break": ("(602)\n      555-0100", "(602)\n      555-0123"),
    "in a sentence": ("Call 602-555-0100, now!", "Call 602-555-0123, now!"),
    "end of a sentence": ("Call 602-555-0100.", "Call 602-555-0123."),
    "in a bracket": ("(call 602 555 0100)", "(call 602 555 0123)"),
    "bracketed whole": ("us (602 555 0100) or", "us (602 555 0123) or"),
    "extension": ("602-555-0100 x22", "602-555-0123 x22"),
    "after hours": ("24/7 602-555-0100", "24/7 602-555-0123"),
    "twice": ("602-555-0100/602.555.0100", "602-555-0123/602.555.0123"),
}
LONDON_FORMS = {
    "trunk prefix": ("020 7946 0001", "020 7946 0789"),
    "international": ("+44 20 7946 0001", "+44 20 7946 0789"),
    "trunk prefix in brackets": ("+44 (0)20 7946 0001", "+44 20 7946 0789"),
}
NO_DESTINATION = {
    "longer run before": "96025550100",
    "longer run after": "60255501009",
    "longer with hyphen before": "7-602-555-0100",
    "longer with hyphen after": "602-555-0100-77",
    "another country": "+44 602 555 0100",
    "decimals": "0.6025550100",
    "other number": "602-555-0199",
    "too far apart": "602 and then 555 and then 0100",
}
LINKS = {
    "E.164": ("tel:+16025550100", "tel:+16025550123"),
    "hyphens": ("tel:602-555-0100", "tel:+16025550123"),
    "brackets": ("tel:+(602) 555-0100", "tel:+16025550123"),
    "escaped": ("tel:%2B1%28602%29%20555-0100", "tel:+16025550123"),
    "malformed escape": ("tel:%zz602-555-0100", "tel:+16025550123"),
    "extension": ("tel:+1-602-555-0100;ext=22", "tel:+16025550123;ext=22"),
    "pause": ("tel:6025550100,,5", "tel:+16025550123,,5"),
    "upper case": ("TEL:6025550100", "TEL:+16025550123"),
    "other number": ("tel:+16025550199", "tel:+16025550199"),
    "not a call": ("/call?6025550100", "/call?6025550100"),
}
UNTOUCHED = {
    "opted out": '<p data-dni-noswap><b class="place">602-555-0100</b></p>',
    "editable": '<div contenteditable><p class="place">602-555-0100</p></div>',
    "textarea": '<textarea class="place">602-555-0100</textarea>',
    "script": '<script class="place" type="text/plain">602-555-0100</script>',
    "style": '<style class="place">a::after{content:"602-555-0100"}</style>',
    "noscript": '<noscript class="place">602-555-0100</noscript>',
}

# The tag swaps before the next frame is painted, so after two frames it is done, or never will be.
HOLD_IN = """html => new Promise(resolve => {
  document.querySelector("main").innerHTML = html;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const place = document.querySelector("main .place");
    resolve([place.textContent, place.getAttribute("href")]);
  }));
})"""


async def held_in(gallery: Page, html: str) -> list[str | None]:
    """Return text and `href` of the element `.place` in `html`, once the tag has seen it."""
    seen = await gallery.evaluate(HOLD_IN, html)
    assert isinstance(seen, list)
    return seen


@pytest.mark.parametrize(
    ("written", "read"),
    [*PHOENIX_FORMS.values(), *LONDON_FORMS.values()],
    ids=[*PHOENIX_FORMS, *LONDON_FORMS],
)
async def test_number_is_swapped_in_the_punctuation_of_the_page(
    gallery: Page, written: str, read: str
) -> None:
    """Whatever stands between the digits stays; only the digits become those of the number."""
    text, _ = await held_in(gallery, f'<pre class="place">{written}</pre>')

    assert text == read


@pytest.mark.parametrize("written", NO_DESTINATION.values(), ids=NO_DESTINATION)
async def test_digits_that_are_not_the_destination_stay(gallery: Page, written: str) -> None:
    """A part of a longer number, or another country's, is somebody else's."""
    text, _ = await held_in(gallery, f'<p class="place">{written}</p>')

    assert text == written


@pytest.mark.parametrize(("written", "read"), LINKS.values(), ids=LINKS)
async def test_call_links_dial_the_number(gallery: Page, written: str, read: str) -> None:
    """A `tel:` link gets E.164 and keeps its parameters; every other link is left alone."""
    _, href = await held_in(gallery, f'<a class="place" href="{written}">call</a>')

    assert href == read


@pytest.mark.parametrize("html", UNTOUCHED.values(), ids=UNTOUCHED)
async def test_places_that_are_nobodys_to_swap_stay(gallery: Page, html: str) -> None:
    """Code, what the visitor edits, and what the page opted out keep the destination."""
    text, _ = await held_in(gallery, html)

    assert "602-555-0100" in (text or "")


async def test_labels_and_window_title_say_what_the_text_says(visit: Visit) -> None:
    """A screen reader must not read out another number than the one that is seen."""
    page = await visit.open(
        '<a id="number" href="tel:6025550100" aria-label="Call 602-555-0100" '
        'title="602.555.0100">602 555 0100</a>'
        "<script>document.title = 'Call 602-555-0100'</script>"
    )
    await visit.shows("602 555 0123")

    assert await page.locator("#number").get_attribute("aria-label") == "Call 602-555-0123"
    assert await page.locator("#number").get_attribute("title") == "602.555.0123"
    assert await page.title() == "Call 602-555-0123"


async def test_number_of_another_length_is_written_in_its_own_format(visit: Visit) -> None:
    """Digits that do not fit the page's punctuation come in the format of their country."""
    visit.standin.answers["/assign"] = assigned({PHOENIX: "+442079460789"})

    await visit.open('<p id="number">+1 (602) 555-0100</p><p id="national">(602) 555-0100</p>')

    await visit.shows("+44 20 7946 0789")
    await visit.shows("020 7946 0789", "#national")


async def test_format_of_the_pool_replaces_the_punctuation_of_the_page(visit: Visit) -> None:
    """With any format but `mirror` the service decides how the number reads; links stay E.164."""
    visit.standin.tag_format = "international"
    answer = {**row(PHOENIX, "+16025550123"), "display": "+1 602-555-0123"}
    visit.standin.answers["/assign"] = always(
        Reply({"visitor_id": "", "page_id": "", "heartbeat_s": 30, "numbers": [answer]})
    )

    await visit.open('<p>(ask <a id="number" href="tel:6025550100">(602) 555.0100</a>)</p>')

    await visit.shows("+1 602-555-0123")
    assert await visit.page.locator("#number").get_attribute("href") == "tel:+16025550123"


async def test_every_destination_of_the_page_is_asked_for_in_one_request(visit: Visit) -> None:
    """Two destinations cost one request; one that is not on the page is not leased."""
    await visit.open(
        '<p id="number">602-555-0100</p><p>602.555.0100</p><p id="london">020 7946 0001</p>'
    )
    await visit.shows("020 7946 0789", "#london")
    await visit.open('<p id="number">602-555-0100</p>')
    await visit.shows("602-555-0123")
    # The number may be the remembered one, shown before the service was asked.
    await visit.heard("/assign", 2)

    asked = [call.body["destinations"] for call in visit.standin.heard("/assign")]
    assert asked == [[PHOENIX, "+442079460001"], [PHOENIX]]


async def test_number_that_a_script_inserts_later_is_swapped(visit: Visit) -> None:
    """A page without a destination asks for nothing, until one appears."""
    page = await visit.open("<main></main>")
    await page.wait_for_function("window.dni && dni.tags && dni.tags.length")
    assert visit.standin.calls == []

    await page.evaluate(
        """document.querySelector("main").innerHTML =
            '<p>or <a id="number" href="tel:6025550100">602-555-0100</a></p>'"""
    )

    await visit.shows("602-555-0123")
    assert await page.locator("#number").get_attribute("href") == "tel:+16025550123"


async def test_client_side_rendering_over_the_swap_is_swapped_again(visit: Visit) -> None:
    """What the application writes is the author's text, however often it writes it; one request."""
    page = await visit.open_file("spa.html")
    await visit.shows("Call 602-555-0123 (0)")

    for view in range(1, 4):
        await page.click("#next")
        await visit.shows(f"Call 602-555-0123 ({view})")

    assert len(visit.standin.heard("/assign")) == 1


async def test_rewritten_text_and_links_are_swapped_before_they_are_painted(visit: Visit) -> None:
    """The swap runs before the next frame, so that nobody sees the destination flash up."""
    page = await visit.open('<a id="number" href="tel:6025550100">602-555-0100</a>')
    await visit.shows("602-555-0123")

    seen = await page.evaluate(
        """() => new Promise(resolve => {
            const link = document.querySelector("#number");
            link.firstChild.data = "now 602.555.0100";
            link.href = "tel:1-602-555-0100";
            requestAnimationFrame(() => setTimeout(() =>
                resolve([link.textContent, link.getAttribute("href")])));
        })"""
    )

    assert seen == ["now 602.555.0123", "tel:+16025550123"]


async def test_own_writing_is_not_taken_for_the_pages(visit: Visit) -> None:
    """The tag's own changes start no further round: a still page stays still."""
    page = await visit.open('<p id="number">602-555-0100</p>')
    await visit.shows("602-555-0123")

    changes, rounds = await page.evaluate(
        """() => new Promise(resolve => {
            let changes = 0;
            new MutationObserver(records => { changes += records.length; }).observe(
                document, {subtree: true, childList: true, characterData: true});
            const request = requestAnimationFrame;
            let rounds = 0;
            window.requestAnimationFrame = work => { rounds++; return request(work); };
            document.querySelector("#number").firstChild.data = "602-555-0100";
            let frames = 0;
            const frame = () => ++frames < 10 ? request(frame) : resolve([changes, rounds]);
            request(frame);
        })"""
    )

    assert changes == 2, "the page's change and one swap"
    assert rounds == 1, "the swap's own change asks for no other look at the page"


async def test_form_that_hides_dom_methods_costs_only_itself(visit: Visit) -> None:
    """Inputs named like a method stand in its place on their form; the rest is swapped."""
    await visit.open(
        '<form data-phone="602-555-0100"><input name="matches"><input name="getAttributeNames">'
        '<b id="form">602-555-0100</b></form><p id="number">602-555-0100</p>'
        '<p id="after" data-phone="602-555-0100"></p>'
    )

    await visit.shows("602-555-0123")
    await visit.shows("602-555-0123", "#form")
    await visit.page.wait_for_selector('#after[data-phone="602-555-0123"]', state="attached")
    assert await visit.errors() == []


async def test_page_may_have_a_node_swapped_by_hand(visit: Visit) -> None:
    """A node that is not in the document yet is swapped on request, before it is shown."""
    page = await visit.open('<p id="number">602-555-0100</p>')
    await visit.shows("602-555-0123")

    text = await page.evaluate(
        """() => {
            const card = document.createElement("p");
            card.textContent = "(602) 555-0100";
            dni("swap", card);
            return card.textContent;
        }"""
    )

    assert text == "(602) 555-0123"
