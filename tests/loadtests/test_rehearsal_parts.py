"""What a rehearsal of peak traffic is made of: plans, arrivals, counts, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import pytest

from loadtests.rehearsal.behaviour import Habits, View, Visit, plan
from loadtests.rehearsal.holdings import Holdings
from loadtests.rehearsal.ledger import PEOPLE, ROBOTS, Ledger
from loadtests.rehearsal.report import Facts, page
from loadtests.rehearsal.shapes import SHAPES, arrivals
from loadtests.rehearsal.slo import Judgement, Objectives, Verdict, judge
from loadtests.rehearsal.visitor import Answer, Site, Visitor, World

OURS = "+16025550101"


@dataclass
class StandIn:
    """A service with one number, and a clock that only sleeping moves."""

    status: str = "leased"
    holder: str = ""
    calls: list[tuple[float, str, str]] = field(default_factory=list)
    gone_once: bool = False
    now: float = 0.0
    world: World = field(init=False)

    def __post_init__(self) -> None:
        """Make the world around it."""
        self.world = World(
            site=Site(key="pk_x", url="https://shop.example"),
            send=self.send,
            ask=self.ask,
            ledger=Ledger(),
            holdings=Holdings(),
            sleep=self.sleep,
            now=lambda: self.now,
        )

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def send(self, call: str, body: Mapping[str, object], _browser: str, _address: str) -> Answer:
        """Answer as the service does."""
        self.calls.append((self.now, call, str(body["page_id"])))
        if call == "heartbeat" and self.gone_once:
            self.gone_once = False
            return Answer({"gone": True}, "", self.now, self.now)
        if call == "heartbeat":
            return Answer({"expires_in_s": 30}, "", self.now, self.now)
        if call == "close":
            return Answer({}, "", self.now, self.now)
        self.holder = self.holder or str(body["visitor_id"])
        row = {
            "destination": "+16025550142",
            "number": OURS,
            "status": self.status,
            "reason": "new",
            "expires_in_s": 30,
        }
        return Answer({"heartbeat_s": 10, "numbers": [row]}, "", self.now, self.now)

    def ask(self, _number: str) -> Answer:
        """Say whose it was."""
        return Answer({"visitor_id": self.holder}, "", self.now, self.now)

    def names(self) -> list[tuple[float, str]]:
        """What was called, when."""
        return [(at, call) for at, call, _ in self.calls]


def visit(*views: View, vanishes: bool = False, calls_s: float | None = None) -> Visit:
    """A visit as planned."""
    return Visit(views=views, vanishes=vanishes, calls_s=calls_s, fields={}, browser="Firefox")


def test_a_visitor_reads_beats_and_closes_as_the_tag_does() -> None:
    """One page of 25 s with a heartbeat every 10 s: assign, two signs of life, farewell."""
    service = StandIn()

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 25, "/")))

    assert service.names() == [(0, "assign"), (10, "heartbeat"), (20, "heartbeat"), (25, "close")]


def test_a_visitor_who_vanishes_says_nothing() -> None:
    """A crashed browser sends no farewell: the idle limit of the pool decides."""
    service = StandIn()

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 5, "/"), vanishes=True))

    assert service.names() == [(0, "assign")]


def test_tabs_are_open_beside_each_other() -> None:
    """A second tab has a page of its own, and the first goes on beating."""
    service = StandIn()

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 15, "/"), View(5, 8, "/b")))

    assert [call for _, call in service.names()] == [
        "assign", "assign", "close", "heartbeat", "close",
    ]  # fmt: skip
    assert len({page for _, _, page in service.calls}) == 2


def test_a_visitor_whose_lease_is_gone_asks_again() -> None:
    """As the tag does when a heartbeat hears `gone`."""
    service = StandIn(gone_once=True)

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 12, "/")))

    assert service.names() == [(0, "assign"), (10, "heartbeat"), (10, "assign"), (12, "close")]


@pytest.mark.parametrize(
    ("holder", "calls_s", "verdict"),
    [
        ("", 5.0, Verdict.RIGHT),
        ("somebody else", 5.0, Verdict.WRONG),
        ("", 90.0, Verdict.LATE_RIGHT),
        ("somebody else", 90.0, Verdict.LATE_OTHER),
    ],
)
def test_a_call_is_checked_against_what_was_shown(
    holder: str, calls_s: float, verdict: Verdict
) -> None:
    """While the lock certainly lives there is one right answer; afterwards two honest ones."""
    service = StandIn(holder=holder)

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 8, "/"), calls_s=calls_s))

    assert service.world.ledger.verdicts == {verdict: 1}


def test_who_was_shown_the_original_dials_no_tracked_number() -> None:
    """Nothing is asked about a number that was never leased."""
    service = StandIn(status="original")

    Visitor(service.world, "v", PEOPLE, "::1").attend(visit(View(0, 8, "/"), calls_s=3.0))

    assert not service.world.ledger.verdicts


def test_a_number_given_to_another_while_it_is_certainly_held_is_seen() -> None:
    """The promise above all others, checked by what browsers alone can know."""
    holdings = Holdings()

    assert holdings.take(OURS, "a", came_s=1.0, until_s=31.0)
    assert holdings.take(OURS, "a", came_s=20.0, until_s=50.0)
    assert not holdings.take(OURS, "b", came_s=49.0, until_s=80.0)


def test_what_is_not_certain_is_not_held_against_the_service() -> None:
    """After the lock, or once the last page is closing, the number may be anybody's."""
    ended, closed = Holdings(), Holdings()
    ended.take(OURS, "a", came_s=1.0, until_s=31.0)
    closed.take(OURS, "a", came_s=1.0, until_s=31.0)
    closed.let_go([OURS], "a", sent_s=10.0)

    assert ended.take(OURS, "b", came_s=31.0, until_s=60.0)
    assert closed.take(OURS, "b", came_s=10.5, until_s=60.0)
    assert not closed.certain(OURS, "a", at_s=11.0)


def test_a_seed_repeats_what_visitors_do() -> None:
    """The same rehearsal twice differs only by what the service does."""
    first, second = ([plan(Random(seed), Habits()) for seed in range(20)] for _ in range(2))

    assert first == second
    assert len({each.ends_s for each in first}) == 20


def test_pages_are_read_as_long_as_the_habits_say() -> None:
    """The pool is sized by this average, so it must be the one that is played."""
    random, habits = Random(7), Habits(view_s=20.0)

    views = [view for _ in range(4_000) for view in plan(random, habits).views]
    mean = sum(view.closes_s - view.opens_s for view in views) / len(views)

    assert mean == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_no_shape_exceeds_what_it_declares(name: str) -> None:
    """Arrivals are thinned from the highest rate: one above it would be lost in silence."""
    shape = SHAPES[name]

    rates = [shape.at(step / 1000) for step in range(1000)]

    assert max(rate.people for rate in rates) <= shape.highest.people + 1e-9
    assert max(rate.robots for rate in rates) <= shape.highest.robots + 1e-9


def test_arrivals_follow_the_rate_and_end() -> None:
    """A process of 50 a second that stops half-way brings about 50 for each second before."""
    came = list(
        arrivals(Random(3), rate=lambda at: 50.0 if at < 20 else 0.0, highest=200, until=40)
    )

    assert came == sorted(came)
    assert max(came) < 20
    assert len(came) == pytest.approx(1000, abs=4 * 1000**0.5)


def test_an_avalanche_brings_back_all_who_were_kept_out() -> None:
    """An outage loses no visitors of a rehearsal: they come at once when it is over."""
    shape = SHAPES["avalanche"]

    steps = 10_000
    mean = sum(shape.at(step / steps).people for step in range(steps)) / steps

    assert mean == pytest.approx(1.0, abs=0.01)


def ledger(*, failed: int = 0, slow: int = 0, away: int = 0) -> Ledger:
    """A run of a hundred answers over ten seconds."""
    made = Ledger()
    for at in range(100):
        made.answer(
            "assign",
            second=at // 10,
            took_s=2.0 if at < slow else 0.004,
            failure="503" if at < failed else "",
        )
        status = "original" if at < away else "leased"
        made.show(PEOPLE, status=status, reason="new", second=at // 10)
    return made


def missed(judgements: list[Judgement]) -> list[str]:
    """What was not held."""
    return [each.what for each in judgements if not each.held]


def test_a_good_run_holds_every_objective() -> None:
    """All five lines of the verdict."""
    assert missed(judge(ledger(), Objectives())) == []


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (ledger(failed=1), "requests that failed"),
        (ledger(slow=2), "p99 of /assign"),
        (ledger(away=2), "people without a number of their own"),
    ],
    ids=["failures", "latency", "turned away"],
)
def test_each_objective_can_be_missed(seen: Ledger, line: str) -> None:
    """A verdict that always holds would be worth nothing."""
    assert missed(judge(seen, Objectives())) == [line]


def test_broken_promises_have_no_allowance() -> None:
    """One wrong attribution, one doubled number: missed, whatever the shares are."""
    seen = ledger()
    seen.verdicts[Verdict.WRONG] += 1
    seen.doubled += 1

    assert missed(judge(seen, Objectives())) == [
        "attributions that were wrong",
        "numbers held by two at once",
    ]


def test_robots_that_get_nothing_are_no_loss() -> None:
    """Only people count as turned away."""
    seen = ledger()
    for _ in range(500):
        seen.show(ROBOTS, status="original", reason="rate_limited", second=1)

    assert missed(judge(seen, Objectives())) == []


def test_an_outage_on_purpose_is_excused_and_nothing_else() -> None:
    """Failures while the service was taken away do not count; those before and after do."""
    seen = ledger(failed=15)

    assert missed(judge(seen, Objectives(), excused=range(2))) == []
    assert missed(judge(seen, Objectives(), excused=range(1))) == ["requests that failed"]


def test_a_run_without_answers_holds_nothing() -> None:
    """A service that never answered must not pass for a fast one."""
    assert missed(judge(Ledger(), Objectives()))[:3] == [
        "p99 of /assign",
        "requests that failed",
        "people without a number of their own",
    ]


def test_what_several_processes_counted_adds_up() -> None:
    """Load comes from many processes; the verdict is about all of them together."""
    one, two = ledger(failed=3), ledger(away=5)
    two.doubled = 1
    two.occupancy[4] = (10, 20)

    together = Ledger.unpack(one.pack())
    together.merge(Ledger.unpack(two.pack()))

    assert sum(seen.answered for seen in together.calls["assign"].values()) == 200
    assert sum(seen.failed for seen in together.calls["assign"].values()) == 3
    assert together.shown[PEOPLE, "original", "new"] == 5
    assert (together.doubled, together.occupancy) == (1, {4: (10, 20)})


def test_percentiles_are_right_to_one_bucket() -> None:
    """5 % is finer than any objective is known."""
    seen = Ledger()
    for ms in range(1, 1001):
        seen.answer("assign", second=0, took_s=ms / 1000)

    assert seen.percentile_ms("assign", 0.5) == pytest.approx(500, rel=0.05)
    assert seen.percentile_ms("assign", 0.99) == pytest.approx(990, rel=0.05)
    assert seen.percentile_ms("heartbeat", 0.99) == 0


def test_the_report_shows_the_verdict_and_escapes_what_it_is_told() -> None:
    """One file that can be sent to anybody."""
    seen = ledger(away=2)

    text = page(Facts(title="<flat>", about={"a": "b"}), seen, judge(seen, Objectives()))

    assert "&lt;flat&gt;" in text
    assert 'class="missed"' in text
    assert "<svg" in text
