"""Ranking the holders of a number: the documented table of confidence, row by row."""

import pytest

from dni_allocator.domain.attribution import Basis, Holder, Memory, rank, rank_shared, recall

WINDOW = 1000


def _holder(
    visitor: str, from_ms: int, until_ms: int | None, *, closed_ms: int | None = None,
    fence: str = "1",
) -> Holder:  # fmt: skip
    return Holder(
        visitor_id=visitor, destination="+16023133897", from_ms=from_ms, until_ms=until_ms,
        closed_ms=closed_ms, fence=fence, data="",
    )  # fmt: skip


def _ranked(*holders: Holder, at_ms: int) -> list[tuple[str, Basis, float]]:
    found = rank(holders, at_ms=at_ms, window_ms=WINDOW)
    return [(each.holder.visitor_id, each.basis, each.confidence) for each in found]


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (99, []),
        (100, [("ann", Basis.LIVE, 1.0)]),
        (199, [("ann", Basis.LIVE, 1.0)]),
        (200, [("ann", Basis.ENDED, 0.9)]),
        (700, [("ann", Basis.ENDED, 0.7)]),
        (1199, [("ann", Basis.ENDED, 0.5004)]),
        (1200, []),
    ],
)
def test_one_holder_over_time(at_ms: int, expected: list[tuple[str, Basis, float]]) -> None:
    """Nobody, then certain, then falling in a line from 0.90 to 0.50, then nobody again."""
    assert _ranked(_holder("ann", 100, 200), at_ms=at_ms) == expected


def test_a_lease_without_an_end_is_live() -> None:
    """What has not ended lives."""
    assert _ranked(_holder("ann", 100, None), at_ms=10_000) == [("ann", Basis.LIVE, 1.0)]


@pytest.mark.parametrize(
    ("at_ms", "basis", "confidence"),
    [(149, Basis.LIVE, 1.0), (150, Basis.CLOSING, 0.95), (160, Basis.CLOSING, 0.95)],
)
def test_after_the_last_page_closed(at_ms: int, basis: Basis, confidence: float) -> None:
    """The number is still locked, but nobody looks at it any more."""
    holder = _holder("ann", 100, None, closed_ms=150)

    assert _ranked(holder, at_ms=at_ms) == [("ann", basis, confidence)]


def test_each_later_visitor_halves_the_confidence() -> None:
    """K others between the lease and the call: 2 to the k."""
    holders = [_holder("ann", 0, 100), _holder("bob", 100, 200), _holder("cyd", 200, None)]

    assert _ranked(*holders, at_ms=300) == [
        ("cyd", Basis.LIVE, 1.0),
        ("bob", Basis.ENDED, 0.43),
        ("ann", Basis.ENDED, 0.205),
    ]


def test_a_visitor_is_one_candidate_with_their_best_claim() -> None:
    """Who had the number twice does not compete with themselves, nor count as another."""
    holders = [_holder("ann", 0, 100), _holder("bob", 100, 200), _holder("ann", 200, 300)]

    assert _ranked(*holders, at_ms=300) == [
        ("ann", Basis.ENDED, 0.9),
        ("bob", Basis.ENDED, 0.43),
    ]


def test_later_holders_do_not_matter_for_an_earlier_call() -> None:
    """A late record of an early call is judged as of then."""
    holders = [_holder("ann", 0, 100), _holder("bob", 500, None)]

    assert _ranked(*holders, at_ms=50) == [("ann", Basis.LIVE, 1.0)]


@pytest.mark.parametrize(("seen", "share"), [(1, 0.5), (2, 0.3333), (4, 0.2)])
def test_a_shared_number(seen: int, share: float) -> None:
    """K visitors saw it: each is one of k + 1, for somebody else may have it from elsewhere."""
    holders = [_holder(f"v{at}", at, None, fence="0") for at in range(seen)]

    found = rank_shared(holders, at_ms=500, window_ms=WINDOW)

    assert {each.confidence for each in found} == {share}
    assert {each.basis for each in found} == {Basis.OVERFLOW}
    assert [each.holder.visitor_id for each in found] == [f"v{at}" for at in reversed(range(seen))]


def test_a_shared_number_within_the_window_only() -> None:
    """Shown too long ago, or only later: no candidate."""
    holders = [_holder("early", 0, None, fence="0"), _holder("late", 1001, None, fence="0")]

    assert rank_shared(holders, at_ms=1000, window_ms=WINDOW) == ()


def test_leases_and_shows_are_not_mixed() -> None:
    """A number that was shared once and leased later is judged by its leases."""
    holders = [_holder("shown", 0, None, fence="0"), _holder("ann", 100, None)]

    assert _ranked(*holders, at_ms=150) == [("ann", Basis.LIVE, 1.0)]


def _memory(visitor: str, number: str, at_ms: int) -> Memory:
    return Memory(number=number, at_ms=at_ms, confidence=1.0, holder=_holder(visitor, 0, 1))


def test_of_several_earlier_calls_the_latest_counts() -> None:
    """To other numbers of the pool: whom the caller meant last is likelier than whom they meant."""
    memories = [_memory("ann", "+1", 100), _memory("cyd", "+2", 300), _memory("bob", "+3", 200)]

    (found,) = recall((), memories, number="+9", at_ms=400)

    assert (found.holder.visitor_id, found.confidence) == ("cyd", 0.5)


def test_a_call_is_not_an_earlier_call_of_itself() -> None:
    """What is asked about the instant of a recorded call does not rest on that call."""
    assert recall((), [_memory("ann", "+1", 400)], number="+1", at_ms=400) == ()
