"""How a page keeps its lease while it is seen, and lets go of it."""

import re
import threading

import pytest

from tests.browser.conftest import Visit
from tests.browser.standin import (
    HEARTBEAT_S,
    IDLE_LIMIT_S,
    LONDON,
    PHOENIX,
    POOL,
    TAG_KEY,
    Call,
    Reply,
    always,
    assigned,
    in_turn,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def visit(each_visit: Visit) -> Visit:
    """All of this module holds in either browser."""
    return each_visit


NUMBER = '<p id="number">602-555-0100</p>'
ID = re.compile(r"[A-Za-z0-9_-]{22}")
RETURN_FROM_CACHE = """() => {
  dispatchEvent(new PageTransitionEvent("pagehide", {persisted: true}));
  dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}));
}"""


async def test_request_needs_no_permission_of_the_browser(visit: Visit) -> None:
    """A string body is text/plain: a simple request, so no preflight precedes it."""
    await visit.open(NUMBER, path="/pricing?a=1")
    await visit.shows("602-555-0123")

    (call,) = visit.standin.calls
    assert (call.method, call.path) == ("POST", "/assign")
    assert call.content_type.lower() == "text/plain;charset=utf-8"
    assert call.text("key") == TAG_KEY
    assert ID.fullmatch(call.text("visitor_id"))
    assert ID.fullmatch(call.text("page_id"))
    assert call.text("page_id") != call.text("visitor_id")
    assert call.text("url") == f"{visit.standin.site}/pricing?a=1"
    assert call.body["destinations"] == [PHOENIX]


async def test_visible_page_sends_heartbeats_at_the_services_pace(visit: Visit) -> None:
    """Each heartbeat names the page that is open; nothing is sent in between."""
    await visit.context.clock.install()
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    heard = visit.standin.heard

    await visit.page.clock.run_for((HEARTBEAT_S - 5) * 1000)
    assert heard("/heartbeat") == []
    await visit.pass_time_until(lambda: len(heard("/heartbeat")) == 3)

    (assign,) = heard("/assign")
    for beat in heard("/heartbeat"):
        assert beat.content_type.lower() == "text/plain;charset=utf-8"
        assert beat.body == {name: assign.body[name] for name in ("key", "visitor_id", "page_id")}


async def test_hidden_page_is_silent_and_beats_at_once_when_seen_again(visit: Visit) -> None:
    """A page in the background does not keep a number from others."""
    await visit.context.clock.install()
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    await visit.become("hidden")
    await visit.page.clock.run_for(4 * HEARTBEAT_S * 1000)
    await visit.become("visible")
    await visit.heard("/heartbeat", times=1)

    assert len(visit.standin.heard("/assign")) == 1


async def test_page_hidden_beyond_the_idle_limit_asks_anew(visit: Visit) -> None:
    """After the idle limit the lease is over for sure: there is nothing to keep alive."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = in_turn(assigned(POOL), assigned({PHOENIX: "+16025550145"}))
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    await visit.become("hidden")
    await visit.page.clock.run_for((IDLE_LIMIT_S + 1) * 1000)
    await visit.become("visible")

    await visit.shows("602-555-0145")
    assert visit.standin.heard("/heartbeat") == []
    assert visit.standin.heard("/assign")[1].body["previous"] == {PHOENIX: "+16025550123"}


async def test_page_opened_in_the_background_asks_when_it_is_seen(visit: Visit) -> None:
    """A tab that nobody looks at takes no number."""
    await visit.context.add_init_script(
        """Object.defineProperty(document, "hidden", {configurable: true, get: () => true})"""
    )
    await visit.open(NUMBER)
    await visit.page.wait_for_function("window.dni && dni.tags && dni.tags.length")
    assert visit.standin.calls == []

    await visit.become("visible")

    await visit.shows("602-555-0123")


async def test_prerendered_page_waits_until_it_is_shown(visit: Visit) -> None:
    """A page loaded ahead of a visit that may never come does nothing."""
    await visit.context.add_init_script(
        """Object.defineProperty(document, "prerendering",
            {configurable: true, get: () => !window.isActivated})"""
    )
    await visit.open(NUMBER)
    await visit.page.wait_for_function("window.dni && dni.tags")
    assert visit.standin.calls == []

    await visit.page.evaluate(
        """isActivated = true; document.dispatchEvent(new Event("prerenderingchange"))"""
    )

    await visit.shows("602-555-0123")


async def test_lease_that_is_gone_is_asked_for_again(visit: Visit) -> None:
    """`gone` means that the number may be another visitor's: the page shows what it gets next."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = in_turn(assigned(POOL), assigned({PHOENIX: "+16025550145"}))
    visit.standin.answers["/heartbeat"] = always(Reply({"gone": True}))
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    await visit.pass_time_until(lambda: len(visit.standin.heard("/assign")) == 2)

    await visit.shows("602-555-0145")


@pytest.mark.parametrize("second", [assigned({}), always(Reply(status=503))], ids=["full", "down"])
async def test_destination_returns_when_the_lease_is_gone_for_good(
    visit: Visit, second: object
) -> None:
    """A number that is no longer the visitor's must not stay on the page."""
    assert callable(second)
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = in_turn(assigned(POOL), second)
    visit.standin.answers["/heartbeat"] = always(Reply({"gone": True}))
    await visit.open('<p><a id="number" href="tel:(602) 555-0100">602.555.0100</a></p>')
    await visit.shows("602.555.0123")

    await visit.pass_time_until(lambda: len(visit.standin.heard("/assign")) >= 2)

    await visit.shows("602.555.0100")
    assert await visit.page.locator("#number").get_attribute("href") == "tel:(602) 555-0100"


async def test_failing_heartbeats_change_nothing_until_the_lease_ends(visit: Visit) -> None:
    """A short outage is not seen, a longer one shows the destination, its end a number again."""
    await visit.context.clock.install()
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    visit.standin.answers["/heartbeat"] = always(Reply(status=502))
    visit.standin.answers["/assign"] = always(Reply(status=502))

    for _ in range(IDLE_LIMIT_S // 10 - 4):
        await visit.page.clock.run_for(10_000)
        assert await visit.text() == "602-555-0123"
    await visit.page.clock.run_for(60_000)
    await visit.shows("602-555-0100")
    visit.standin.answers["/assign"] = assigned(POOL)

    async def is_swapped() -> bool:
        return await visit.text() == "602-555-0123"

    await visit.pass_time_until(is_swapped, step_ms=4_000)
    assert await visit.errors() == []


async def test_leaving_the_page_sends_one_close_beacon(visit: Visit) -> None:
    """The beacon names the page that closes, and needs no preflight either."""
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    await visit.page.goto("about:blank")
    await visit.heard("/close", times=1)

    assign, close = visit.standin.calls
    assert close.content_type.lower() == "text/plain;charset=utf-8"
    assert close.body == {name: assign.body[name] for name in ("key", "visitor_id", "page_id")}


async def test_leaving_a_page_that_asked_for_nothing_sends_nothing(visit: Visit) -> None:
    """Without a destination there is nothing to close: the next page's calls are the first."""
    await visit.open("<p>no number here</p>")
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    assert [call.path for call in visit.standin.calls] == ["/assign"]


async def test_page_back_from_the_cache_is_a_new_page(visit: Visit) -> None:
    """It asks under a new page id, so that a late beacon of the old one cannot hurt it."""
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")

    await visit.page.evaluate(RETURN_FROM_CACHE)
    await visit.heard("/assign", times=2)
    await visit.heard("/close", times=1)

    first, second = visit.standin.heard("/assign")
    (close,) = visit.standin.heard("/close")
    assert close.text("page_id") == first.text("page_id") != second.text("page_id")
    assert first.text("visitor_id") == second.text("visitor_id")


async def test_answer_to_the_page_that_was_left_is_void(visit: Visit) -> None:
    """The number of an old page's answer was let go by its beacon: only the new answer counts."""
    released = threading.Event()

    def late(call: Call) -> Reply | None:
        released.wait()
        return assigned(POOL)(call)

    visit.standin.answers["/assign"] = in_turn(late, assigned({PHOENIX: "+16025550145"}))
    page = await visit.open(NUMBER)
    await visit.heard("/assign", times=1)

    await page.evaluate(RETURN_FROM_CACHE)
    await visit.shows("602-555-0145")
    async with page.expect_response(f"{visit.standin.service}/assign"):
        released.set()
    await page.evaluate("url => fetch(url)", f"{visit.standin.service}/tag.js?key=")

    assert await visit.text() == "602-555-0145"
    # A beacon and a request are two connections: either may be heard first.
    assert sorted(call.path for call in visit.standin.calls) == ["/assign", "/assign", "/close"]


async def test_destination_that_appears_later_is_asked_for_with_the_others(visit: Visit) -> None:
    """One more destination, one more request, for all of the page: it renews and adds."""
    page = await visit.open(f"{NUMBER}<main></main>")
    await visit.shows("602-555-0123")

    await page.evaluate("document.querySelector('main').textContent = '020 7946 0001'")

    await visit.shows("020 7946 0789", "main")
    asked = [call.body["destinations"] for call in visit.standin.heard("/assign")]
    assert asked == [[PHOENIX], [PHOENIX, LONDON]]


async def test_second_copy_of_the_snippet_does_nothing(visit: Visit) -> None:
    """Two snippets with one key are one visit: one request, one beacon."""
    await visit.open(NUMBER, snippet=visit.standin.snippet() * 2)
    await visit.shows("602-555-0123")
    await visit.page.goto("about:blank")
    await visit.heard("/close", times=1)

    assert [call.path for call in visit.standin.calls] == ["/assign", "/close"]


async def test_two_pools_on_a_page_have_a_tag_each(visit: Visit) -> None:
    """Another key is another tag: both ask, and both hear the page's commands."""
    other = visit.standin.snippet("pk_other")
    await visit.open(NUMBER, snippet=visit.standin.snippet() + other)
    await visit.heard("/assign", times=2)

    assert {call.text("key") for call in visit.standin.calls} == {TAG_KEY, "pk_other"}
