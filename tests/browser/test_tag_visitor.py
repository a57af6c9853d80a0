"""Who the visitor is and what brought them: ids, touches, fields."""

import json
from urllib.parse import urlencode

import pytest

from tests.browser.conftest import STUB, Visit
from tests.browser.standin import PHOENIX

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def visit(each_visit: Visit) -> Visit:
    """All of this module holds in either browser."""
    return each_visit


NUMBER = '<p id="number">602-555-0100</p>'


async def test_visitor_keeps_the_id_and_gets_the_number_from_memory(visit: Visit) -> None:
    """A second tab and a reload are the same visitor, and say which number they had."""
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    del visit.page
    await visit.go("/")
    await visit.shows("602-555-0123")
    await visit.page.reload()
    await visit.heard("/assign", times=3)

    calls = visit.standin.heard("/assign")
    assert len({call.text("visitor_id") for call in calls}) == 1
    assert len({call.text("page_id") for call in calls}) == 3
    assert [call.body["previous"] for call in calls] == [{}, *[{PHOENIX: "+16025550123"}] * 2]


async def test_returning_page_view_swaps_before_the_answer(visit: Visit) -> None:
    """A remembered lease that should still live is shown at once; the answer only confirms it."""
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    visit.standin.answers["/assign"] = lambda _: None

    await visit.page.reload()

    await visit.shows("602-555-0123")


@pytest.mark.parametrize(
    "storage",
    [
        """Object.defineProperty(window, "localStorage",
            {get() { throw new DOMException("blocked", "SecurityError"); }})""",
        """Storage.prototype.setItem = () => {
            throw new DOMException("full", "QuotaExceededError"); }""",
        """localStorage.setItem("dni", '{"id":7,"at":"x","first":3,"last":"no"}');
           localStorage.setItem("dni:pk_test", '{"a":null,"b":{"number":1}}')""",
        """localStorage.setItem("dni", "{"); localStorage.setItem("dni:pk_test", "null")""",
    ],
    ids=["blocked", "full", "of another kind", "broken"],
)
async def test_storage_that_does_not_work_costs_only_memory(visit: Visit, storage: str) -> None:
    """Without storage the page view works; it is a new visitor's every time."""
    await visit.context.add_init_script(storage)

    await visit.open(NUMBER, path="/?gclid=g1")

    await visit.shows("602-555-0123")
    assert visit.standin.heard("/assign")[0].fields["gclid"] == "g1"
    assert await visit.errors() == []


async def test_first_touch_is_kept_and_last_touch_replaced(visit: Visit) -> None:
    """Campaign parameters and other sites make a touch; direct visits and own links do not."""
    await visit.open(
        NUMBER,
        path="/a?utm_source=google&utm_medium=cpc&gclid=G1&session=secret",
        referrer="https://www.google.com/",
    )
    await visit.shows("602-555-0123")
    await visit.go("/a", referrer=f"{visit.standin.site}/b")
    await visit.heard("/assign", times=2)
    await visit.go("/a?UTM_Source=bing&msclkid=M1", referrer="")
    await visit.heard("/assign", times=3)
    await visit.go("/a", referrer="https://blog.example/post")
    await visit.heard("/assign", times=4)
    first, own_link, campaign, other_site = [call.fields for call in visit.standin.heard("/assign")]

    site = visit.standin.site
    landing = f"{site}/a?utm_source=google&utm_medium=cpc&gclid=G1&session=secret"
    touch = {
        "landing_page": landing,
        "utm_source": "google",
        "utm_medium": "cpc",
        "gclid": "G1",
        "referrer": "https://www.google.com/",
    }
    first_touch = {f"first_{name}": value for name, value in touch.items()}
    assert first == {**touch, **first_touch}
    assert own_link == first
    assert campaign == {
        "landing_page": f"{site}/a?UTM_Source=bing&msclkid=M1",
        "utm_source": "bing",
        "msclkid": "M1",
        **first_touch,
    }
    assert other_site == {
        "landing_page": f"{site}/a",
        "referrer": "https://blog.example/post",
        **first_touch,
    }


async def test_every_click_id_and_advertisers_cookie_is_sent(visit: Visit) -> None:
    """The names are what others count on: the traffic sources, conversions, other systems."""
    ids = {
        "utm_source": "s", "utm_medium": "m", "utm_campaign": "c", "utm_term": "t",
        "utm_content": "o", "utm_id": "i", "gclid": "1", "gbraid": "2", "wbraid": "3",
        "fbclid": "4", "msclkid": "5", "ttclid": "6", "li_fat_id": "7",
    }  # fmt: skip
    cookies = "".join(
        f"document.cookie = '{cookie}';"
        for cookie in ("_fbc=fb.1.2.F", "_fbp=fb.1.2.3", "_ga=GA1.2.11.22", "_gang=no", "x_ga=no")
    )
    query = urlencode({**ids, "token": "secret"})

    await visit.open(f"<script>{cookies}</script>{NUMBER}", path=f"/?{query}")
    await visit.shows("602-555-0123")

    (call,) = visit.standin.heard("/assign")
    landing = f"{visit.standin.site}/?{query}"
    touch = {**ids, "landing_page": landing}
    assert call.fields == {
        **touch,
        **{f"first_{name}": value for name, value in touch.items()},
        "_fbc": "fb.1.2.F",
        "_fbp": "fb.1.2.3",
        "_ga": "11.22",
    }


async def test_page_adds_fields_before_and_after_the_tag_is_there(visit: Visit) -> None:
    """Queued fields are in the first request; later ones are sent as soon as they are known."""
    page = await visit.open(NUMBER + STUB % 'dni("set", {plan: "pro", size: 7, bad: {}})')
    await visit.shows("602-555-0123")

    await page.evaluate('dni("set", {crm_id: "c-1", "not a name": "x"})')
    await visit.heard("/assign", times=2)

    queued, late = [call.fields for call in visit.standin.heard("/assign")]
    assert (queued["plan"], queued["size"], "bad" in queued) == ("pro", "7", False)
    assert (late["plan"], late["crm_id"], "not a name" in late) == ("pro", "c-1", False)


async def test_request_never_outgrows_what_the_service_takes(visit: Visit) -> None:
    """At most 64 fields of 512 characters and 16 KB, cut where it hurts least, never refused."""
    many = {f"field_{number}": "\U0001f4de" * 600 for number in range(80)}

    await visit.open(NUMBER + STUB % f'dni("set", {json.dumps({"plan": "pro", **many})})')
    await visit.shows("602-555-0123")

    (call,) = visit.standin.heard("/assign")
    assert len(call.raw) <= 16 * 1024
    assert len(call.fields) <= 64
    assert call.fields["plan"] == "pro"
    assert max(len(value) for value in call.fields.values()) <= 512


async def test_number_can_be_asked_for_without_being_on_the_page(visit: Visit) -> None:
    """A page that builds its own call button gets the whole answer."""
    page = await visit.open("<p>no number</p>")
    await page.wait_for_function("window.dni && dni.tags && dni.tags.length")

    number = await page.evaluate(
        f"""() => new Promise(resolve =>
            dni("number", rows => resolve(rows[0].number), "{PHOENIX}"))"""
    )

    assert number == "+16025550123"
