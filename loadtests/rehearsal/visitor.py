"""One visitor over HTTP: what the tag would send, and what the backend asks when the phone rings.

Knows no load tool: the caller brings the way to send, to sleep, and to tell the time.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from loadtests.rehearsal.behaviour import View, Visit
from loadtests.rehearsal.holdings import Holdings
from loadtests.rehearsal.ledger import Ledger
from loadtests.rehearsal.slo import Verdict

_TOLERANCE_S = 1.0
"""`expires_in_s` is given in whole seconds: so much of it is not certain."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `failure` is "" for an answer that is as documented."""

    body: Mapping[str, Any]
    failure: str
    sent_s: float
    came_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The site that is visited: its publishable key, address, and destinations on its pages."""

    key: str
    url: str
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What visitors share.

    `send(call, body, browser, address)` sends one request as a browser would; the address is the
    visitor's, as a proxy would tell it. `ask(number)` asks as a backend does whose number was
    dialed; None: this rehearsal has no key for that. `now`: seconds since the run began.
    """

    site: Site
    send: Callable[[str, Mapping[str, object], str, str], Answer]
    ask: Callable[[str], Answer | None]
    ledger: Ledger
    holdings: Holdings
    sleep: Callable[[float], None]
    now: Callable[[], float]

    def note(self, call: str, answer: Answer) -> None:
        """Count an answer."""
        self.ledger.answer(
            call,
            second=int(answer.sent_s),
            took_s=answer.came_s - answer.sent_s,
            failure=answer.failure,
        )


@dataclass(slots=True)
class Visitor:
    """A browser. Keeps its numbers between visits, as the tag does."""

    world: World
    id: str
    who: str
    address: str
    numbers: dict[str, str] = field(default_factory=dict)
    """Destination -> the number last shown for it, where it was leased."""
    _live: list[str] = field(default_factory=list)
    _open: set[str] = field(default_factory=set)
    _beat_s: float = 0.0

    def attend(self, visit: Visit) -> None:
        """Live through one visit; comes back when it is over, the late call included."""
        world, began = self.world, self.world.now()
        order = count()
        due: list[tuple[float, int, Callable[[], float | None]]] = []

        def plan(at_s: float, act: Callable[[], float | None]) -> None:
            heapq.heappush(due, (at_s, next(order), act))

        for index, view in enumerate(visit.views):
            page = f"{self.id}-{index}-{int(began * 1000)}"
            opening = self._opening(visit, view, page)
            plan(began + view.opens_s, opening)
            if not visit.vanishes:
                plan(began + view.closes_s, self._closing(visit, page))
            until = began + view.closes_s
            plan(began + view.opens_s, self._beating(visit, page, until_s=until, ask=opening))
        if visit.calls_s is not None:
            plan(began + visit.calls_s, self._call)
        while due:
            at, _, act = heapq.heappop(due)
            world.sleep(max(0.0, at - world.now()))
            again = act()
            if again is not None:
                plan(again, act)
        self._open.clear()

    def _opening(self, visit: Visit, view: View, page: str) -> Callable[[], None]:
        def opening() -> None:
            world = self.world
            self._open.add(page)
            body: dict[str, object] = {
                "key": world.site.key,
                "visitor_id": self.id,
                "page_id": page,
                "url": f"{world.site.url}{view.path}",
                "fields": visit.fields,
                "previous": self.numbers,
            }
            if world.site.destinations:
                body["destinations"] = world.site.destinations
            answer = self._send("assign", body, visit)
            if not answer.failure:
                self._shown(answer)

        return opening

    def _shown(self, answer: Answer) -> None:
        world = self.world
        self._beat_s = float(answer.body["heartbeat_s"] or 0)
        self._live = []
        for each in answer.body["numbers"]:
            status, number = str(each["status"]), str(each["number"])
            second = int(answer.sent_s)
            world.ledger.show(self.who, status=status, reason=str(each["reason"]), second=second)
            if status != "leased":
                continue
            self._live.append(number)
            self.numbers[str(each["destination"])] = number
            until = answer.sent_s + float(each["expires_in_s"]) - _TOLERANCE_S
            if not world.holdings.take(number, self.id, came_s=answer.came_s, until_s=until):
                world.ledger.doubled += 1

    def _beating(
        self, visit: Visit, page: str, *, until_s: float, ask: Callable[[], None]
    ) -> Callable[[], float | None]:
        first = True

        def beating() -> float | None:
            nonlocal first
            now = self.world.now()
            if first:
                first = False
            elif page not in self._open or now >= until_s:
                return None
            elif self._live:
                answer = self._send("heartbeat", self._about(page), visit)
                if answer.body.get("gone"):
                    ask()
                elif not answer.failure:
                    until = answer.sent_s + float(answer.body["expires_in_s"]) - _TOLERANCE_S
                    self.world.holdings.renew(self._live, self.id, until_s=until)
            again = now + max(1.0, self._beat_s)
            return again if again < until_s else None

        return beating

    def _closing(self, visit: Visit, page: str) -> Callable[[], None]:
        def closing() -> None:
            self._open.discard(page)
            if not self._open:
                self.world.holdings.let_go(self._live, self.id, sent_s=self.world.now())
            self._send("close", self._about(page), visit)

        return closing

    def _call(self) -> None:
        """Dial what is on the screen: the backend must know whose it is."""
        world = self.world
        if not self.numbers:
            return
        number = next(iter(self.numbers.values()))
        # Before as well as after: a lock that ends while the answer is under way proves nothing.
        certain = world.holdings.certain(number, self.id, at_s=world.now())
        answer = world.ask(number)
        if answer is None:
            return
        world.note("attribution", answer)
        if answer.failure:
            return
        right = answer.body.get("visitor_id") == self.id
        certain = certain and world.holdings.certain(number, self.id, at_s=answer.came_s)
        if certain:
            verdict = Verdict.RIGHT if right else Verdict.WRONG
        else:
            verdict = Verdict.LATE_RIGHT if right else Verdict.LATE_OTHER
        world.ledger.verdicts[verdict] += 1

    def _about(self, page: str) -> dict[str, object]:
        return {"key": self.world.site.key, "visitor_id": self.id, "page_id": page}

    def _send(self, call: str, body: Mapping[str, object], visit: Visit) -> Answer:
        answer = self.world.send(call, body, visit.browser, self.address)
        self.world.note(call, answer)
        return answer
