"""The checker finds what was planted, and nothing else."""

from tests.chaos.checker import violations
from tests.chaos.history import ASSIGN, CLOSE, History, Operation, Rules, Shown

SHOP = "+16023133897"
NUMBER = "+16025550100"
RULES = Rules(
    pool="pool_a", numbers=(NUMBER, "+16025550101"), destinations=(SHOP,), idle_s=5, delay_s=1
)


def assign(
    visitor: str, begin: float, end: float, *, lease: int, reason: str = "new", page: str = "p"
) -> Operation:
    """A page view that was answered with the number."""
    shown = Shown(
        destination=SHOP, number=NUMBER, status="leased", reason=reason, lease_id=f"lse_a_{lease}",
        expires_in_s=5,
    )  # fmt: skip
    return Operation(
        call=ASSIGN, begin=begin, end=end, pool="pool_a", visitor=visitor, page=page, status=200,
        shown=(shown,),
    )  # fmt: skip


def close(visitor: str, begin: float, end: float | None, *, page: str = "p") -> Operation:
    """A beacon that was taken, or sent in vain."""
    return Operation(
        call=CLOSE, begin=begin, end=end, pool="pool_a", visitor=visitor, page=page,
        status=None if end is None else 204,
    )  # fmt: skip


def rules_broken(*operations: Operation) -> set[str]:
    """Which rules a run with these requests broke."""
    return {each.rule for each in violations(History.of([RULES, *operations]))}


def test_two_visitors_who_certainly_hold_one_number() -> None:
    """The second was answered before the first one's lock could have ended."""
    assert rules_broken(assign("ann", 0, 0.1, lease=1), assign("bob", 1, 4.9, lease=2)) == {
        "exclusive"
    }


def test_two_visitors_who_may_have_followed_each_other() -> None:
    """The second answer came after the end of the promise: nothing is certain."""
    assert rules_broken(assign("ann", 0, 0.1, lease=1), assign("bob", 1, 5.1, lease=2)) == set()


def test_a_number_is_given_on_before_the_closed_browser_delay() -> None:
    """The beacon leaves the lock for a second more, whenever it is served."""
    left = (assign("ann", 0, 0.1, lease=1), close("ann", 1, 1.1))

    assert rules_broken(*left, assign("bob", 1.5, 1.9, lease=2)) == {"exclusive"}
    assert rules_broken(*left, assign("bob", 1.5, 2.1, lease=2)) == set()
