"""The main job in a real browser: everybody a number of their own, for as long as they stay."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from dni_allocator.demo.company import SAGUARO
from tests.support.demonstration import OVERFLOW, WRITTEN, showing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TWO = SAGUARO.numbers[:2]


async def test_two_visitors_see_two_numbers_and_keep_them(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """A number is the visitor's: the same after a reload and in a second tab, nobody else's."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        ann, bob = await show.visitor(), await show.visitor()

        ann_page, bob_page = await ann.open(), await bob.open()
        ann_number, bob_number = await ann.number(ann_page), await bob.number(bob_page)
        await ann.reload(ann_page)
        await bob.reload(bob_page)

        assert len({ann_number, bob_number, WRITTEN}) == 3
        assert await ann.number(ann_page) == await ann.number(await ann.open()) == ann_number
        assert await bob.number(bob_page) == await bob.number(await bob.open()) == bob_number


async def test_closing_the_last_tab_frees_the_number_after_the_closed_browser_delay(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """One tab of two may close; after the last one the number is locked ten seconds more."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        first, last = await visitor.open(), await visitor.open()
        number = await visitor.number(last)

        await visitor.leave(first)
        await show.heard_beacons(1)
        assert await show.basis(number) == "live"
        await visitor.leave(last)
        await show.becomes(number, "closing")
        await show.pass_time(SAGUARO.closed_browser_delay_s - 1)
        assert await show.state(number) == "leased"
        await show.pass_time(1)

        assert await show.state(number) == "free"
        assert await show.basis(number) == "ended"


async def test_lost_beacon_frees_the_number_after_the_idle_limit(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """A browser that dies says nothing: then silence decides, and nothing sooner."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        page = await visitor.open()
        number = await visitor.number(page)

        await kill(page)
        await show.pass_time(SAGUARO.closed_browser_delay_s + 1)
        assert (await show.state(number), await show.basis(number)) == ("leased", "live")
        await show.pass_time(SAGUARO.idle_limit_s - SAGUARO.closed_browser_delay_s - 2)
        assert await show.state(number) == "leased"
        await show.pass_time(1)

        assert await show.state(number) == "free"


async def test_exhausted_pool_shows_the_overflow_number_then_the_original(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """The third visitor of two numbers shares one; where there is none, the page stays as it is."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path, numbers=TWO) as show:
        holders = [await show.visitor(), await show.visitor()]
        held = {await holder.number(await holder.open()) for holder in holders}
        third = await show.visitor()

        page = await third.open()
        with_overflow = await third.number(page)
        await show.edit_pool(overflow_numbers=[])
        await third.reload(page)
        without = await third.number(page)

        assert len(held) == 2
        assert (with_overflow, without) == (OVERFLOW, WRITTEN)
        assert await page.get_by_role("status").text_content() == (
            "No number is free: the page keeps its original one."
        )


async def test_freed_number_goes_to_the_next_visitor(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """Nobody needs to tidy up in between: the next visit takes what has come free."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path, numbers=TWO) as show:
        ann, bob, cid = [await show.visitor() for _ in range(3)]
        ann_page = await ann.open()
        number = await ann.number(ann_page)
        await bob.open()

        await ann.leave(ann_page)
        await show.becomes(number, "closing")
        show.clock.advance(seconds=SAGUARO.closed_browser_delay_s)

        assert await cid.number(await cid.open()) == number


async def test_returning_visitor_gets_the_old_number_back(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """Though it was released last, and so would be the last one to be given to anybody else."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        visitor = await show.visitor()
        page = await visitor.open()
        number = await visitor.number(page)
        await visitor.leave(page)
        await show.becomes(number, "closing")
        await show.pass_time(SAGUARO.closed_browser_delay_s)
        assert await show.state(number) == "free"

        page = await visitor.open()

        assert await visitor.number(page) == number
        assert await show.basis(number) == "live"


async def kill(page: Page) -> None:
    """End the process behind a tab, as a crash or an empty battery does: no beacon is sent."""
    session = await page.context.new_cdp_session(page)
    async with page.expect_event("crash"):
        # Never answered, as whoever would answer is dead.
        crash = asyncio.ensure_future(session.send("Page.crash"))
    crash.cancel()
    await asyncio.gather(crash, return_exceptions=True)


async def test_a_headless_browser_is_a_robot_to_a_pool_that_serves_none(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """It names itself, and nobody sits in front of it; the demonstration's own pool lets it in."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        looking = await show.visitor(headless=True)
        served = await looking.number(await looking.open())

        await show.edit_pool(serve_robots=False)
        robot, person = await show.visitor(headless=True), await show.visitor()
        page = await robot.context.new_page()
        async with page.expect_response("**/assign") as answer:
            await page.goto(f"{show.demo.url}/demo")
        (told,) = (await (await answer.value).json())["numbers"]
        await robot.answered(page)

        assert served != WRITTEN
        assert (told["status"], told["reason"]) == ("original", "bot")
        assert await robot.number(page) == WRITTEN
        assert await person.number(await person.open()) not in {served, WRITTEN}
