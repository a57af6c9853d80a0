"""The demonstration in the test's own process: real store, real HTTP on loopback, driven clock.

The sweeper does not run by itself: time passes, and leases end, when a test says so.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from unittest.mock import AsyncMock, patch

import httpx
from playwright.async_api import Browser, BrowserContext, Page

from dni_allocator.app import Options
from dni_allocator.cli.part_server import listen
from dni_allocator.cli.showing import LOOPBACK, Demonstration, Secrets, demonstrating
from dni_allocator.demo.company import SAGUARO
from dni_allocator.settings import Settings
from tests.support.browser import visible_user_agent
from tests.support.clock import ManualClock
from tests.support.waiting import wait_until_async

WAITING: Final = "The tag is asking for a number…"
WRITTEN: Final = "(602) 555-0142"
"""The number the page was written with."""

OVERFLOW: Final = "(800) 555-0199"


@dataclass(slots=True, kw_only=True)
class Show:
    """A running demonstration and the ways a test has to look into it and to drive it."""

    demo: Demonstration
    clock: ManualClock
    admin: httpx.AsyncClient
    browser: Browser
    user_agent: str
    contexts: AsyncExitStack
    parts: AsyncExitStack
    closing: AsyncMock
    """Sees the calls of `Allocation.close`, which does its work as always."""

    async def visitor(self, *, width: int = 1280, headless: bool = False) -> "Visitor":
        """A browser profile that has not been here before. `headless`: it says what it is."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": 900},
            user_agent=None if headless else self.user_agent,
        )
        self.contexts.push_async_callback(context.close)
        visitor = Visitor(show=self, context=context)
        context.on("console", lambda line: visitor.complaints.append(f"{line.type}: {line.text}"))
        context.on("weberror", lambda error: visitor.complaints.append(str(error.error)))
        return visitor

    async def stop(self) -> None:
        """Stop service, forwarder and sink; browsers stay."""
        await self.parts.aclose()

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock, and let the sweeper see it."""
        self.clock.advance(seconds=seconds)
        await self.demo.app.sweeper().sweep_once()

    async def basis(self, national: str) -> str:
        """On what the service's answer for a number rests: `live`, `closing`, `ended`."""
        digits = "".join(filter(str.isdigit, national))
        answer = await self.admin.get(f"/attribution/+1{digits}")
        basis = answer.raise_for_status().json()["basis"]
        assert isinstance(basis, str)
        return basis

    async def state(self, national: str) -> str:
        """Whether the pool has a number `free` or `leased`."""
        answer = await self.admin.get(f"/pools/{self.demo.stage.pool_id}/numbers")
        states = {
            row["national"]: row["state"] for row in answer.raise_for_status().json()["numbers"]
        }
        state = states[national]
        assert isinstance(state, str)
        return state

    async def becomes(self, national: str, basis: str) -> None:
        """Wait until the service has heard what makes the number's answer this one."""

        async def is_so() -> bool:
            return await self.basis(national) == basis

        await wait_until_async(is_so, what=f"{national} being {basis}")

    async def heard_beacons(self, count: int) -> None:
        """Wait until the service has dealt with so many farewells."""
        await wait_until_async(
            lambda: self.closing.await_count >= count, what=f"{count} beacons being heard"
        )

    async def edit_pool(self, **settings: object) -> None:
        """Change the pool as an operator does."""
        path = f"/pools/{self.demo.stage.pool_id}"
        (await self.admin.patch(path, json=settings)).raise_for_status()


@dataclass(slots=True, kw_only=True)
class Visitor:
    """One browser profile on the demonstration page. `complaints`: what its console said."""

    show: Show
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str = "/demo") -> Page:
        """Open a tab and wait for the service's answer to the tag."""
        page = await self.context.new_page()
        await page.goto(self.show.demo.url + path)
        await self.answered(page)
        return page

    async def reload(self, page: Page) -> None:
        """Load the page again and wait for the answer."""
        await page.reload()
        await self.answered(page)

    async def answered(self, page: Page) -> None:
        """Wait until the tag has heard from the service, or given up."""

        async def is_answered() -> bool:
            return await page.locator("#status").text_content() != WAITING

        await wait_until_async(is_answered, what="an answer to the tag")

    async def number(self, page: Page) -> str:
        """The number the page shows, which must be the same in every place."""
        places = {
            "masthead": await page.locator(".phone").text_content() or "",
            "link": (await page.locator(".phone").get_attribute("href") or "")[len("tel:+1") :],
            "button": await page.locator("#site-call").text_content() or "",
            "international": (await page.locator("#site-international").text_content() or "")[3:],
            "explained": await page.locator("#shown").text_content() or "",
        }
        digits = {name: "".join(filter(str.isdigit, text)) for name, text in places.items()}
        assert len(set(digits.values())) == 1, places
        return places["masthead"]

    async def leave(self, page: Page) -> None:
        """Close a tab as a person does, so that the page may say goodbye."""
        async with page.expect_event("close"):
            await page.close(run_before_unload=True)


@asynccontextmanager
async def showing(
    browser: Browser,
    *,
    redis_url: str,
    data_dir: Path,
    numbers: Sequence[str] = SAGUARO.numbers,
    driven: bool = True,
) -> AsyncIterator[Show]:
    """Run the demonstration with these numbers in its pool; not `driven`: time is the real one."""
    # Browsers and the sink have the real time, so that is where it starts.
    clock = ManualClock(now_ms=int(time.time() * 1000))
    kept = Secrets.kept_in(data_dir)
    async with AsyncExitStack() as parts, AsyncExitStack() as contexts:
        demo = await parts.enter_async_context(
            demonstrating(
                Settings(redis_url=redis_url, data_dir=data_dir),
                listener=listen(LOOPBACK, 0),
                sink_listener=listen(LOOPBACK, 0),
                kept=kept,
                options=Options(sweeper=False, clock=clock) if driven else Options(),
                company=replace(SAGUARO, numbers=tuple(numbers)),
            )
        )
        admin = httpx.AsyncClient(
            base_url=demo.url,
            headers={"Authorization": f"Bearer {kept.admin_key}"},
            trust_env=False,
        )
        await contexts.enter_async_context(admin)
        allocation = demo.app.services.allocation
        closing = contexts.enter_context(
            patch.object(allocation, "close", new=AsyncMock(wraps=allocation.close))
        )
        yield Show(
            demo=demo,
            clock=clock,
            admin=admin,
            browser=browser,
            user_agent=await visible_user_agent(browser),
            contexts=contexts,
            parts=parts,
            closing=closing,
        )
