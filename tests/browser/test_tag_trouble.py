"""The service is away, slow, lying or forbidden: the page is as its author made it."""

import socket
from typing import Final

import pytest

from tests.browser.conftest import STUB, Visit
from tests.browser.standin import Reply, always

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGE: Final = (
    '<p><a id="number" href="tel:(602) 555-0100" title="602.555.0100">(602) <b>555</b>-0100</a></p>'
    '<script type="application/ld+json">{"telephone": "+1-602-555-0100"}</script>'
)
LISTENING: Final = STUB % 'dni("on", "failed", reason => { window.reason = reason; });'
POLICY: Final = '<meta http-equiv="Content-Security-Policy" content="%s">'


@pytest.fixture
def nobody() -> str:
    """An origin where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


async def _is_whole(visit: Visit) -> None:
    """The body is what it is without a tag, to the letter, and nothing was heard of us."""
    body = await visit.page.evaluate("document.body.innerHTML")
    assert isinstance(body, str)
    assert body == await visit.page.evaluate(
        "html => new DOMParser().parseFromString(html, 'text/html').body.innerHTML",
        PAGE + LISTENING,
    )
    assert await visit.errors() == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=503, retry_after=1),
        Reply(status=500, raw=b"<h1>Bad gateway</h1>"),
        Reply(raw=b"\x00<html>{"),
        Reply(raw=b'{"numbers": "none"}'),
    ],
    ids=["down", "broken", "garbage", "another thing"],
)
async def test_no_good_answer(each_visit: Visit, reply: Reply) -> None:
    """An error, or what is no answer of ours."""
    each_visit.standin.answers["/assign"] = always(reply)

    page = await each_visit.open(PAGE + LISTENING)
    await page.wait_for_function("window.reason")

    await _is_whole(each_visit)


async def test_nobody_listens(each_visit: Visit, nobody: str) -> None:
    """The connection is refused."""
    each_visit.standin.told_origin = nobody

    page = await each_visit.open(PAGE + LISTENING)
    await page.wait_for_function("window.reason")

    await _is_whole(each_visit)


async def test_connection_hangs(each_visit: Visit) -> None:
    """Taken and never answered: after five seconds the tag hangs up; the page was never held."""
    each_visit.standin.answers["/assign"] = always(None)
    await each_visit.context.clock.install()

    page = await each_visit.open(PAGE + LISTENING)
    await each_visit.heard("/assign", times=1)
    await _is_whole(each_visit)
    await page.clock.run_for(2_000)
    assert await page.evaluate("window.reason") is None
    await page.clock.run_for(3_100)
    await page.wait_for_function("window.reason === 'AbortError'")

    await _is_whole(each_visit)


async def test_tag_itself_is_away(each_visit: Visit, nobody: str) -> None:
    """The script does not load: the page is done without it, and the stub still takes calls."""
    page = await each_visit.open(
        PAGE + LISTENING, snippet=f'<script async src="{nobody}/tag.js?key=pk_test"></script>'
    )

    await page.evaluate('dni("number", () => {})')
    await _is_whole(each_visit)


@pytest.mark.parametrize(
    "policy",
    ["connect-src 'none'", "script-src 'self' 'unsafe-inline'"],
    ids=["request blocked", "tag blocked"],
)
async def test_policy_forbids_us(each_visit: Visit, policy: str) -> None:
    """A content security policy without us costs the swap and nothing else."""
    head = POLICY % policy + each_visit.standin.snippet()

    page = await each_visit.open(PAGE + LISTENING, snippet=head)
    if "connect" in policy:
        await page.wait_for_function("window.reason")

    assert each_visit.standin.calls == []
    await _is_whole(each_visit)


async def test_policy_of_the_manual_lets_the_tag_work(each_visit: Visit) -> None:
    """The two directives that docs/tag.md names are enough, without inline scripts."""
    service = each_visit.standin.service
    policy = POLICY % f"default-src 'none'; script-src {service}; connect-src {service}"

    await each_visit.open(PAGE, snippet=policy + each_visit.standin.snippet())

    await each_visit.shows("(602) 555-0123")
