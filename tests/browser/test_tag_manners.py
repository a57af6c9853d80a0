"""Whatever goes wrong, the page stays as its author made it and hears nothing of it."""

import pytest

from tests.browser.conftest import STUB, Visit
from tests.browser.standin import (
    PHOENIX,
    POOL,
    Reply,
    always,
    assigned,
    in_turn,
    row,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def visit(each_visit: Visit) -> Visit:
    """All of this module holds in either browser."""
    return each_visit


NUMBER = '<p><a id="number" href="tel:(602) 555-0100">(602) 555-0100</a></p>'


def _numbers(*numbers: object, heartbeat_s: object = 30) -> Reply:
    return Reply({"heartbeat_s": heartbeat_s, "numbers": list(numbers)})


GARBAGE: dict[str, Reply] = {
    "error 500": Reply(status=500),
    "unknown key": Reply({"code": "key-unknown"}, status=403),
    "not JSON": Reply(raw=b"<html>captive portal</html>"),
    "empty": Reply(raw=b""),
    "null": Reply(raw=b"null"),
    "a list": Reply([]),
    "no numbers": Reply({}),
    "numbers of nothing": _numbers(None),
    "another destination": _numbers(row("+16025550199", "+16025550123")),
    "no phone number": _numbers({**row(PHOENIX, "+16025550123"), "number": "javascript:x"}),
    "no formats": _numbers({**row(PHOENIX, "+16025550123"), "formats": None}),
    "no text": _numbers({**row(PHOENIX, "+16025550123"), "display": {"toString": 1}}),
    "no expiry": _numbers({**row(PHOENIX, "+16025550123"), "expires_in_s": "soon"}),
}


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=GARBAGE)
async def test_page_keeps_its_number_when_the_answer_is_no_good(visit: Visit, reply: Reply) -> None:
    """Only a whole and sensible answer changes the page."""
    visit.standin.answers["/assign"] = always(reply)
    stub = (
        STUB
        % """
        for (const event of ["assigned", "failed"]) dni("on", event, () => { window.done = true; });
    """
    )
    await visit.open(NUMBER + stub)
    await visit.page.wait_for_function("window.done")

    assert await visit.text() == "(602) 555-0100"
    assert await visit.page.locator("#number").get_attribute("href") == "tel:(602) 555-0100"
    assert await visit.errors() == []


async def test_answer_that_comes_too_late_is_no_answer(visit: Visit) -> None:
    """After five seconds the tag gives up, tells whoever asked, and tries again later."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = in_turn(always(None), assigned(POOL))
    stub = (
        STUB
        % """
        dni("on", "failed", reason => { window.reason = reason; });
    """
    )
    await visit.open(NUMBER + stub)
    await visit.heard("/assign", times=1)

    await visit.page.clock.run_for(5_000)
    await visit.page.wait_for_function("window.reason")
    assert await visit.page.evaluate("reason") == "AbortError"
    assert await visit.text() == "(602) 555-0100"

    await visit.pass_time_until(lambda: len(visit.standin.heard("/assign")) == 2)
    await visit.shows("(602) 555-0123")
    assert await visit.errors() == []


@pytest.mark.parametrize(
    "policy",
    ["connect-src 'none'", "script-src 'self' 'unsafe-inline'"],
    ids=["request blocked", "tag blocked"],
)
async def test_page_is_whole_where_its_policy_blocks_the_tag(visit: Visit, policy: str) -> None:
    """A Content-Security-Policy without us costs the swap and nothing else."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    await visit.open(NUMBER, snippet=meta + visit.standin.snippet())
    await visit.page.wait_for_load_state("networkidle")

    assert visit.standin.calls == []
    assert await visit.text() == "(602) 555-0100"
    assert await visit.errors() == []


async def test_remembered_number_is_not_trusted_when_nobody_confirms_it(visit: Visit) -> None:
    """A returning page view shows what it remembers at once, and takes it back on a failure."""
    await visit.open(NUMBER)
    await visit.shows("(602) 555-0123")
    visit.standin.answers["/assign"] = always(None)
    await visit.context.clock.install()

    await visit.page.reload()
    await visit.shows("(602) 555-0123")
    await visit.heard("/assign", times=2)
    await visit.page.clock.run_for(5_000)

    await visit.shows("(602) 555-0100")


async def test_refusal_is_not_answered_with_more_requests(visit: Visit) -> None:
    """A key or a site that is not welcome stays so: this page view asks once."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = always(Reply({"code": "origin-refused"}, status=403))
    stub = (
        STUB
        % """
        dni("on", "failed", reason => { window.reason = reason; });
    """
    )
    await visit.open(NUMBER + stub)
    await visit.page.wait_for_function("window.reason === 'status 403'")

    await visit.page.clock.run_for(600_000)
    await visit.become("visible")
    await visit.page.goto("about:blank")
    await visit.heard("/close", times=1)

    assert [call.path for call in visit.standin.calls] == ["/assign", "/close"]


async def test_refusal_takes_back_what_was_leased_before(visit: Visit) -> None:
    """A service that says no to the page means the number on it, too."""
    await visit.open(NUMBER)
    await visit.shows("(602) 555-0123")
    visit.standin.answers["/assign"] = always(Reply({"code": "pool-unknown"}, status=404))

    await visit.page.evaluate('dni("set", {late: 1})')

    await visit.shows("(602) 555-0100")


async def test_exhausted_pool_leaves_the_page_alone(visit: Visit) -> None:
    """The original destination is an answer: nothing to swap, no heartbeat wanted."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = assigned({})
    stub = (
        STUB
        % """
        dni("number", rows => { window.status = rows[0].status; });
    """
    )
    await visit.open(NUMBER + stub)
    await visit.page.wait_for_function("window.status === 'original'")

    await visit.page.clock.run_for(600_000)

    assert await visit.text() == "(602) 555-0100"
    assert [call.path for call in visit.standin.calls] == ["/assign"]


async def test_overflow_number_is_shown_without_a_lease(visit: Visit) -> None:
    """A shared number is nobody's to keep alive."""
    await visit.context.clock.install()
    visit.standin.answers["/assign"] = always(
        _numbers(row(PHOENIX, "+16025550199", "overflow"), heartbeat_s=None)
    )
    await visit.open(NUMBER)
    await visit.shows("(602) 555-0199")

    await visit.page.clock.run_for(600_000)

    assert await visit.text() == "(602) 555-0199"
    assert [call.path for call in visit.standin.calls] == ["/assign"]


async def test_callbacks_of_the_page_may_throw(visit: Visit) -> None:
    """The page's own mistakes in our callbacks stop neither the tag nor the page."""
    stub = (
        STUB
        % """
        dni("number", () => { throw new Error("mine"); });
        dni("on", "assigned", () => { throw new Error("mine"); });
        dni("on", "swapped", places => { window.places = places; });
        dni("on");
        dni("no such command");
        dni();
    """
    )

    await visit.open(NUMBER + stub)

    await visit.shows("(602) 555-0123")
    assert await visit.page.evaluate("places") == 2
    assert await visit.errors() == []
