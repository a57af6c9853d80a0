"""What a site may choose: when to ask, what to store, what to collect, what to hide."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from dni_allocator.tag.bundle import TagField
from tests.browser.conftest import Visit
from tests.browser.standin import PHOENIX, POOL, TAG_KEY, Reply, always, assigned, in_turn, row

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def visit(each_visit: Visit) -> Visit:
    """All of this module holds in either browser."""
    return each_visit


NUMBER = '<p id="number">602-555-0100</p>'
HIDING = (
    "<style>@keyframes dni{to{visibility:visible}}"
    "html:not([data-dni]) [data-dni-hide]{visibility:hidden;animation:dni 0s 1s forwards}</style>"
)
STORED = "[Object.keys(localStorage).sort(), Object.keys(sessionStorage).sort()]"


def embedded(visitor_id: str, *, age_s: int = 0) -> str:
    """A lease as a backend writes it into the page it renders."""
    lease = {
        "key": TAG_KEY,
        "issued_at": (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(),
        "visitor_id": visitor_id,
        "page_id": "page-of-the-backend-00",
        "heartbeat_s": 5,
        "numbers": [row(PHOENIX, "+16025550145")],
    }
    return f'<script type="application/json" data-dni-lease>{json.dumps(lease)}</script>'


RENDERED = '<p id="number">602-555-0145</p>'


async def test_lease_of_the_backend_is_adopted(visit: Visit) -> None:
    """The number stands in the HTML already: no request, no flicker, heartbeats and a close."""
    await visit.context.clock.install()
    page = await visit.open(RENDERED + embedded("visitor-of-backend-000"))
    await page.wait_for_function("window.dni && dni.tags.length")
    await visit.pass_time_until(lambda: len(visit.standin.heard("/heartbeat")) == 1)
    await page.goto("about:blank")
    await visit.heard("/close", times=1)

    assert visit.standin.heard("/assign") == []
    for call in visit.standin.calls:
        assert call.text("visitor_id") == "visitor-of-backend-000"
        assert call.text("page_id") == "page-of-the-backend-00"


@pytest.mark.parametrize("why", ["stale", "another visitor's"])
async def test_lease_out_of_a_cache_is_not_adopted(visit: Visit, why: str) -> None:
    """A cached page would give one lease to many: the number goes back, and the tag asks."""
    if why == "another visitor's":
        await visit.open(NUMBER)
        await visit.shows("602-555-0123")
    lease = embedded("visitor-of-backend-000", age_s=61 if why == "stale" else 0)

    await visit.open(RENDERED + lease)

    await visit.shows("602-555-0123")
    last = visit.standin.heard("/assign")[-1]
    assert last.body["destinations"] == [PHOENIX]
    assert last.text("visitor_id") != "visitor-of-backend-000"


async def test_refused_rate_is_an_answer_and_is_not_hammered(visit: Visit) -> None:
    """429 may carry numbers; the next request waits for a quiet minute."""
    await visit.context.clock.install()
    numbers = [row(PHOENIX, "+16025550199", "overflow")]
    busy = Reply({"code": "rate-limited", "heartbeat_s": None, "numbers": numbers}, status=429)
    visit.standin.answers["/assign"] = in_turn(always(busy), assigned(POOL))
    await visit.open(NUMBER)
    await visit.shows("602-555-0199")

    await visit.page.evaluate('dni("set", {late: 1})')
    await visit.page.clock.run_for(50_000)
    assert len(visit.standin.heard("/assign")) == 1
    await visit.pass_time_until(lambda: len(visit.standin.heard("/assign")) == 2)

    await visit.shows("602-555-0123")


@pytest.mark.parametrize("status", [429, 503])
async def test_service_says_how_long_to_be_quiet(visit: Visit, status: int) -> None:
    """`Retry-After` holds, also where the tag alone would ask sooner."""
    await visit.context.clock.install()
    busy = Reply({"heartbeat_s": None, "numbers": []}, status=status, retry_after=200)
    visit.standin.answers["/assign"] = in_turn(always(busy), assigned(POOL))
    await visit.open(NUMBER)
    await visit.heard("/assign", times=1)
    await visit.pass_time_until(lambda: True, step_ms=1)

    await visit.page.clock.run_for(190_000)
    assert len(visit.standin.heard("/assign")) == 1
    await visit.pass_time_until(lambda: len(visit.standin.heard("/assign")) == 2)

    await visit.shows("602-555-0123")


async def test_quiet_does_not_keep_a_number_beyond_its_lease(visit: Visit) -> None:
    """The tag may be told to wait for long: when the lease ends the destination is back."""
    await visit.context.clock.install()
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    visit.standin.answers["/assign"] = always(Reply(status=503, retry_after=3000))

    await visit.page.evaluate('dni("set", {late: 1})')
    await visit.heard("/assign", times=2)
    await visit.pass_time_until(lambda: True, step_ms=1)
    await visit.page.clock.run_for(310_000)

    await visit.shows("602-555-0100")
    assert len(visit.standin.heard("/assign")) == 2


async def test_heartbeat_sets_the_pace_of_the_next(visit: Visit) -> None:
    """A lease is short until the first heartbeat, which says how often from then on."""
    await visit.context.clock.install()
    visit.standin.answers["/heartbeat"] = always(Reply({"expires_in_s": 300, "heartbeat_s": 100}))
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    await visit.pass_time_until(lambda: len(visit.standin.heard("/heartbeat")) == 1)

    await visit.page.clock.run_for(90_000)
    assert len(visit.standin.heard("/heartbeat")) == 1
    await visit.pass_time_until(lambda: len(visit.standin.heard("/heartbeat")) == 2)


@pytest.mark.parametrize("act", ["sees the number", "presses a key"])
async def test_lazy_tag_asks_when_the_visitor_cares(visit: Visit, act: str) -> None:
    """`data-lazy` takes no number for a glance at the top of a page."""
    snippet = visit.standin.snippet(options="data-lazy data-more")
    above = '<div style="height: 9000px">long</div>'
    page = await visit.open(above + NUMBER, snippet=snippet)
    await page.wait_for_function("window.dni && dni.more")
    await page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    assert visit.standin.calls == []

    if act == "presses a key":
        await page.keyboard.press("a")
    else:
        await page.evaluate('document.querySelector("#number").scrollIntoView()')

    await visit.shows("602-555-0123")


@pytest.mark.parametrize(
    ("mode", "stored"),
    [("none", [[], []]), ("session", [[], ["dni", "dni:pk_test"]])],
)
async def test_consent_says_what_is_kept(visit: Visit, mode: str, stored: object) -> None:
    """`none`: a number and nothing else; `session`: until the tab closes; then `full` asks anew."""
    snippet = visit.standin.snippet(options=f'data-consent="{mode}"')
    page = await visit.open(NUMBER, path="/?gclid=G1", snippet=snippet)
    await visit.shows("602-555-0123")
    assert await page.evaluate(STORED) == stored

    await page.evaluate('dni("consent", "full")')
    await visit.heard("/assign", times=2)
    await visit.heard("/close", times=1)
    assert (await page.evaluate(STORED))[0][0] == "dni"
    await page.evaluate('dni("consent", "none")')
    await visit.heard("/assign", times=3)

    first, full, none = visit.standin.heard("/assign")
    assert [call.body["consent"] for call in (first, full, none)] == [mode, "full", "none"]
    assert full.fields["gclid"] == "G1"
    assert none.fields == {}
    assert "url" not in none.body
    assert await page.evaluate(STORED) == [[], []]


async def test_global_privacy_control_is_no_consent(visit: Visit) -> None:
    """A browser that says no has said no, unless the page was told otherwise."""
    await visit.context.add_init_script(
        'Object.defineProperty(navigator, "globalPrivacyControl", {get: () => true})'
    )
    page = await visit.open(NUMBER, path="/?gclid=G1")
    await visit.shows("602-555-0123")

    (call,) = visit.standin.heard("/assign")
    assert (call.body["consent"], call.fields) == ("none", {})
    assert await page.evaluate(STORED) == [[], []]


DICTIONARY = (
    TagField("offer", "parameter", "of", "first"),
    TagField("shop", "cookie", "shop_id", "last"),
    TagField("plan", "variable", "app.plan", "last"),
    TagField("cart", "data_layer", "cart.value", "last"),
)


async def test_dictionary_collects_and_forms_are_filled(visit: Visit) -> None:
    """Parameter, cookie, variable and data layer; first or last touch; hidden inputs."""
    visit.standin.tag_fields = DICTIONARY
    page_data = (
        "<script>app = {plan: 'pro'}; dataLayer = [{cart: {value: 1}}, {cart: {value: 7}}];"
        "document.cookie = 'shop_id=s9'; document.cookie = '_ga=GA1.1.11.22';"
        "document.cookie = '_fbp=fb.1.2.3'</script>"
    )
    inputs = '<input type="hidden" data-dni-field="offer"><p id="x"></p>'
    body = page_data + inputs + NUMBER
    await visit.open(body, path="/?of=A&fbclid=F1")
    await visit.shows("602-555-0123")
    await visit.page.wait_for_function("document.querySelector('input').value === 'A'")
    page = await visit.open(body, path="/?of=B")
    await visit.shows("602-555-0123")
    await page.wait_for_function("document.querySelector('input').value === 'A'")

    fields = visit.standin.heard("/assign")[-1].fields
    wanted = {"offer": "A", "shop": "s9", "plan": "pro", "cart": "7", "fbclid": "F1"}
    assert wanted.items() <= fields.items()
    assert (fields["_ga"], fields["_fbp"]) == ("11.22", "fb.1.2.3")


async def test_test_switch_shows_a_number_that_is_nobodys(visit: Visit) -> None:
    """`?dni_test` proves the swap without a lease; an address cannot choose the number."""
    page = await visit.open(NUMBER, path="/?dni_test=+16025550199")
    await visit.shows("602-999-9999")

    await page.evaluate('dni("test", "+16025550177")')

    await visit.shows("602-555-0177")


async def test_debug_mode_tells_the_console(visit: Visit) -> None:
    """`?dni_debug` says what was found, asked and answered."""
    page = await visit.context.new_page()
    visit.page = page
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    await visit.open(NUMBER, path="/?dni_debug")
    await visit.shows("602-555-0123")
    await page.wait_for_function("window.dni.more")
    await page.evaluate("0")

    assert any("[dni] settings" in line for line in said)


async def test_hidden_element_is_shown_with_its_number(visit: Visit) -> None:
    """The hiding is CSS with a deadline of its own, so that it ends without us, too."""
    hidden = '<p id="number" data-dni-hide>602-555-0100</p>'
    seen = 'getComputedStyle(document.querySelector("#number")).visibility'
    page = await visit.open(HIDING + hidden)
    await visit.shows("602-555-0123")
    assert await page.evaluate(seen) == "visible"

    await visit.open(HIDING + hidden, snippet="", path="/without")

    await visit.page.wait_for_function(f'{seen} === "visible"')


async def test_returning_page_view_never_paints_the_destination(visit: Visit) -> None:
    """A tag that runs before the number is parsed swaps in the frame that shows it first."""
    await visit.open(NUMBER)
    await visit.shows("602-555-0123")
    visit.standin.answers["/assign"] = always(None)
    await visit.context.add_init_script(
        """window.frames = new Set();
        const look = () => {
            const place = document.querySelector("#number");
            if (place) frames.add(place.textContent);
            requestAnimationFrame(() => setTimeout(look));
        };
        look();"""
    )
    blocking = visit.standin.snippet().replace("async ", "")

    page = await visit.open(NUMBER, snippet=blocking, path="/again")
    await visit.shows("602-555-0123")

    await page.wait_for_function("frames.size")

    assert await page.evaluate("Array.from(frames)") == ["602-555-0123"]


@pytest.mark.parametrize(
    ("path", "options", "is_loaded"),
    [("/", "", False), ("/", "data-more", True), ("/?dni_debug", "", True), ("/?adni_", "", False)],
)
async def test_second_file_is_loaded_where_it_is_needed(
    visit: Visit, path: str, options: str, is_loaded: object
) -> None:
    """One more request for those who asked for it; for all others there is none."""
    snippet = visit.standin.snippet(options=options)
    page = await visit.open(NUMBER, path=path, snippet=snippet)
    await visit.shows("602-555-0123")

    if is_loaded:
        await page.wait_for_function("window.dni.more")
    scripts = await page.locator("script[src*='.more.js']").count()
    assert scripts == (1 if is_loaded else 0)
