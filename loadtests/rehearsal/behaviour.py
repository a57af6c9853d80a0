"""What one visitor does: which pages, how long, how they leave, whether they call.

Pure: the caller brings the random generator, so a seed repeats a rehearsal.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

_WEBKIT: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_CHROME: Final = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_IPHONE: Final = "iPhone; CPU iPhone OS 18_1 like Mac OS X"
BROWSERS: Final = (
    f"Mozilla/5.0 ({_IPHONE}) {_WEBKIT} Version/18.1 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Version/18.1 Safari/605.1.15",
    f"Mozilla/5.0 (Linux; Android 15; Pixel 8) {_CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
)
"""What the visitors' browsers call themselves. Robots that hide borrow the same."""

_SPREAD: Final = 0.8
"""Sigma of the log-normal reading time: half of all views last 0.6 to 1.7 times the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Averages of a population; shares from 0 to 1, durations in seconds.

    `view_s`: a page is read so long on average. `next_page`: the visitor goes on to another page.
    `second_tab`: that one is opened beside the first, which stays. `vanish`: the browser dies, or
    its farewell is lost. `comes_back`: a visit of somebody who was here before. `calls`: the number
    is dialled; `calls_late`: of these, after the visit, within `late_s`.
    """

    view_s: float = 20.0
    next_page: float = 0.4
    second_tab: float = 0.15
    vanish: float = 0.1
    comes_back: float = 0.15
    calls: float = 0.05
    calls_late: float = 0.3
    late_s: float = 30.0


@dataclass(frozen=True, slots=True)
class View:
    """One page, in seconds after the visit began. It stays open until `closes_s`."""

    opens_s: float
    closes_s: float
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit, planned. `calls_s`: when they dial, seconds after the beginning; None: never."""

    views: tuple[View, ...]
    vanishes: bool
    calls_s: float | None
    fields: dict[str, str]
    browser: str

    @property
    def ends_s(self) -> float:
        """When the last page closes."""
        return max(view.closes_s for view in self.views)


def plan(random: Random, habits: Habits) -> Visit:
    """Plan one visit of a person."""
    views = [_view(random, habits, opens_s=0.0)]
    while random.random() < habits.next_page:
        current = views[-1]
        if random.random() < habits.second_tab:
            opens = current.opens_s + random.random() * (current.closes_s - current.opens_s)
        else:
            opens = current.closes_s
        views.append(_view(random, habits, opens_s=opens))
    ends = max(view.closes_s for view in views)
    calls = None
    if random.random() < habits.calls:
        late = random.random() < habits.calls_late
        calls = ends + random.random() * habits.late_s if late else random.random() * ends
    return Visit(
        views=tuple(views),
        vanishes=random.random() < habits.vanish,
        calls_s=calls,
        fields=_campaign(random),
        browser=random.choice(BROWSERS),
    )


def raid(random: Random) -> Visit:
    """Plan the visit of a robot that hides: one page, no sign of life, no farewell."""
    return Visit(
        views=(View(0.0, 0.0, "/"),),
        vanishes=True,
        calls_s=None,
        fields={},
        browser=random.choice(BROWSERS),
    )


def mean_visit_s(habits: Habits) -> float:
    """How long visits last on average, seconds; tabs beside each other counted one by one."""
    return habits.view_s / (1 - habits.next_page)


def _view(random: Random, habits: Habits, *, opens_s: float) -> View:
    # The mean of a log-normal is exp(mu + sigma^2 / 2).
    median = math.log(habits.view_s) - _SPREAD**2 / 2
    stays = random.lognormvariate(median, _SPREAD)
    return View(opens_s, opens_s + stays, f"/page-{random.randrange(50)}")


def _campaign(random: Random) -> dict[str, str]:
    """Half come by a paid click, as the visitors do for whom numbers are bought."""
    kind = random.random()
    if kind < 0.35:  # noqa: PLR2004 -- shares of a population, named by the lines
        return {"utm_source": "google", "utm_medium": "cpc", "gclid": f"{random.getrandbits(64):x}"}
    if kind < 0.5:  # noqa: PLR2004 -- as above
        return {"utm_source": "facebook", "utm_medium": "paid_social", "fbclid": "IwAR0"}
    if kind < 0.6:  # noqa: PLR2004 -- as above
        return {"utm_source": "newsletter", "utm_medium": "email"}
    return {}
