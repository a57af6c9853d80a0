"""The stories of docs/attribution.md, played: the answer of each is the one in its table."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.rig import fictional
from tests.support.service import Json, Service, Site

ONE, TWO = fictional(2)
SHARED = "+18005550100"
PHONE = "+14155550177"
HOUR, DAY = 3600, 86_400

DOCUMENT = Path(__file__).parents[2] / "docs" / "attribution.md"


@dataclass(slots=True)
class Story:
    """One pool with one number, and the people who see and dial it."""

    service: Service
    site: Site

    async def sees(self, visitor: str) -> str:
        """They open a page; the number they see."""
        (shown,) = await self.site.view(visitor, page_id="page")
        return shown.number

    async def falls_silent(self) -> None:
        """Nobody beats any more: the idle limit ends all leases."""
        await self.wait(300)

    async def wait(self, seconds: float) -> None:
        """Time passes, and housekeeping is done."""
        self.service.clock.advance(seconds=seconds)
        await self.service.app.sweeper().sweep_once()

    async def calls(self, number: str, phone: str | None = PHONE) -> None:
        """A call is recorded."""
        answer = await self.service.admin("POST", "/calls", {"number": number, "caller": phone})
        assert answer.status_code == 201, answer.text

    async def asked(self, number: str = ONE, **query: str) -> Json:
        """Whose number is it?"""
        return await self.service.attribution(number, **query)


Telling = Callable[[Story], Awaitable[Json]]
TOLD: dict[str, Telling] = {}


def story(name: str) -> Callable[[Telling], Telling]:
    """The story of this name in the table."""

    def note(telling: Telling) -> Telling:
        TOLD[name] = telling
        return telling

    return note


@story("on the page")
async def _on_the_page(at: Story) -> Json:
    await at.sees("ann")
    return await at.asked()


@story("just left")
async def _just_left(at: Story) -> Json:
    await at.sees("ann")
    await at.service.tag("/close", {"key": at.site.key, "visitor_id": "ann", "page_id": "page"})
    await at.wait(10)
    return await at.asked()


@story("late call")
async def _late_call(at: Story) -> Json:
    await at.sees("ann")
    await at.falls_silent()
    await at.wait(12 * HOUR)
    return await at.asked()


async def _called_from_the_page(at: Story, *, then: float) -> None:
    await at.sees("ann")
    await at.calls(ONE)
    await at.wait(then)


@story("called back next day")
async def _next_day(at: Story) -> Json:
    await _called_from_the_page(at, then=DAY)
    return await at.asked(caller=PHONE)


@story("called back next week")
async def _next_week(at: Story) -> Json:
    await _called_from_the_page(at, then=7 * DAY)
    return await at.asked(caller=PHONE)


@story("next week, withheld")
async def _next_week_withheld(at: Story) -> Json:
    await _called_from_the_page(at, then=7 * DAY)
    return await at.asked()


@story("number re-shown")
async def _re_shown(at: Story) -> Json:
    await at.sees("ann")
    await at.falls_silent()
    await at.wait(HOUR)
    assert await at.sees("bob") == ONE
    return await at.asked()


@story("two candidates")
async def _two(at: Story) -> Json:
    await at.sees("ann")
    await at.falls_silent()
    await at.wait(60)
    assert await at.sees("bob") == ONE
    await at.falls_silent()
    await at.wait(600)
    return await at.asked()


@story("repeat caller")
async def _repeat_caller(at: Story) -> Json:
    await _called_from_the_page(at, then=HOUR)
    assert await at.sees("bob") == ONE
    return await at.asked(caller=PHONE)


@story("another number")
async def _another_number(at: Story) -> Json:
    await at.sees("bob")
    await at.service.admin(
        "POST", f"/pools/{at.site.pool_id}/numbers", {"numbers": [TWO], "all_or_nothing": True}
    )
    assert await at.sees("ann") == TWO
    await at.calls(TWO)
    await at.falls_silent()
    await at.wait(36 * HOUR)
    return await at.asked(caller=PHONE)


@story("record that comes late")
async def _late_record(at: Story) -> Json:
    await at.sees("ann")
    await at.wait(60)
    rang = at.service.clock.iso()
    await at.falls_silent()
    await at.wait(HOUR)
    assert await at.sees("bob") == ONE
    return await at.asked(at=rang)


@story("overflow")
async def _overflow(at: Story) -> Json:
    await at.sees("ann")
    for visitor in ("cyd", "dan"):
        assert await at.sees(visitor) == SHARED
        await at.wait(1)
    return await at.asked(SHARED)


@story("overflow, repeat caller")
async def _overflow_repeat(at: Story) -> Json:
    await at.sees("ann")
    assert await at.sees("cyd") == SHARED
    await at.calls(SHARED)
    for visitor in ("dan", "eve"):
        await at.wait(1)
        assert await at.sees(visitor) == SHARED
    return await at.asked(SHARED, caller=PHONE)


@story("leak")
async def _leak(at: Story) -> Json:
    for _ in range(2):
        await at.calls(ONE)
    leaked = (await at.service.admin("GET", "/events?type=number.leaked")).json()["events"]
    assert [each["data"]["reason"] for each in leaked] == ["no_holder"]
    return await at.asked()


ROWS = re.findall(
    r"^\| ([^|`]+) \| [^|]+ \| `(\w+)` \| (\w*) ?\| ([\d.]+) \| ([^|]*?) ?\|$",
    DOCUMENT.read_text("utf-8"),
    re.MULTILINE,
)


def test_every_story_is_in_the_table() -> None:
    """A row nobody plays is a promise nobody keeps."""
    assert [row[0] for row in ROWS] == list(TOLD)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
async def test_the_answer_is_the_one_in_the_table(service: Service, row: tuple[str, ...]) -> None:
    """What is documented happens: the basis, the visitor, how sure it is, and who else."""
    name, basis, who, confidence, others = row
    site = await service.pool(ONE, overflow_numbers=[SHARED])

    found = await TOLD[name](Story(service, site))

    assert (found["basis"], found["visitor_id"] or "") == (basis, who)
    assert found["confidence"] == float(confidence)
    candidates = found["candidates"]
    assert isinstance(candidates, list)
    assert ", ".join(f"{each['visitor_id']} {each['confidence']}" for each in candidates[1:]) == (
        others
    )
    assert all(each["reason"] for each in candidates)
