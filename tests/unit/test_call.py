"""A call and what changes it: the events of each step, and none of what was said before."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from dni_allocator.domain.attribution import Basis, Candidate, Holder, Memory, recall
from dni_allocator.domain.call import (
    COMPLETED,
    QUALIFIED,
    UPDATED,
    Call,
    CallStatus,
    CallUpdate,
    Rule,
    changed,
    pool_of_call,
)
from dni_allocator.services.ids import call_id_for, new_call_id

RINGS = Call(
    id="call_a_0123456789abcdef", pool_id="pool_a", number="+16025550100", caller="+14155550177",
    route_to="+16023133897", started_ms=1000, basis=Basis.LIVE, confidence=1.0, updated_ms=1000,
)  # fmt: skip
ANSWERED = CallUpdate(status=CallStatus.ANSWERED)
OVER = CallUpdate(status=CallStatus.COMPLETED, duration_s=90)


def after(*updates: CallUpdate, rule: Rule | None = None) -> tuple[Call, list[str]]:
    """The call after these, a second apart, and all events of that."""
    call = RINGS
    told: list[str] = []
    for at, update in enumerate(updates, start=2):
        call, events = changed(call, update, rule=rule or Rule(), now_ms=at * 1000)
        told += events
    return call, told


@pytest.mark.parametrize("order", list(permutations([CallUpdate(status=CallStatus.RINGING),
                                                     ANSWERED, OVER, OVER])))  # fmt: skip
def test_messages_may_come_in_any_order_and_twice(order: tuple[CallUpdate, ...]) -> None:
    """Completed once, qualified once, and over in the end, however they overtake each other."""
    call, told = after(*order)

    assert (call.status, call.qualified) == (CallStatus.COMPLETED, True)
    assert (told.count(COMPLETED), told.count(QUALIFIED)) == (1, 1)
    assert told.index(COMPLETED) < told.index(QUALIFIED)


def test_nothing_new_is_no_event() -> None:
    """Said again, or said nothing: the call stays, and when it was last touched too."""
    first, _ = after(ANSWERED)

    assert after(ANSWERED, ANSWERED, CallUpdate()) == (first, [UPDATED])


def test_what_is_known_later_may_qualify_it() -> None:
    """An outcome that counts comes hours after the call."""
    sale = CallUpdate(outcome="sale", value=Decimal("12.50"), currency="USD")

    call, told = after(OVER, sale, rule=Rule(outcomes=("sale",)))

    assert told == [COMPLETED, QUALIFIED]
    assert call.value == Decimal("12.50")


def test_a_correction_takes_nothing_back() -> None:
    """It was told as good: a receiver cannot be asked to forget."""
    call, told = after(OVER, CallUpdate(duration_s=5, status=CallStatus.FAILED))

    assert (call.qualified, call.status, call.duration_s) == (True, CallStatus.FAILED, 5)
    assert told == [COMPLETED, QUALIFIED, UPDATED]


@pytest.mark.parametrize(
    "status", [each for each in CallStatus if each.final and each is not CallStatus.COMPLETED]
)
def test_unanswered_calls_complete_and_never_qualify(status: CallStatus) -> None:
    """Busy, not answered, failed, canceled: over, and worth nothing."""
    call, told = after(CallUpdate(status=status, duration_s=90), rule=Rule(min_duration_s=0))

    assert told == [COMPLETED]
    assert not call.qualified


def test_a_given_time_wins_over_the_moment_of_the_message() -> None:
    """A provider knows when it was answered; without that, when the message came."""
    told, _ = after(CallUpdate(status=CallStatus.ANSWERED, answered_ms=1500), OVER)

    assert (told.answered_ms, told.ended_ms) == (1500, 3000)


@pytest.mark.parametrize("pool_id", ["pool_a", "pool_y49ebb0mck3je34t", "pool_with_bars"])
def test_a_call_says_its_pool(pool_id: str) -> None:
    """No directory is asked; the same call of a provider has the same id."""
    one = call_id_for(pool_id, provider="twilio", provider_call_id="CA1")

    assert pool_of_call(new_call_id(pool_id)) == pool_id
    assert pool_of_call(one) == pool_id
    assert one == call_id_for(pool_id, provider="twilio", provider_call_id="CA1")
    assert one != call_id_for(pool_id, provider="twilio", provider_call_id="CA2")
    assert new_call_id(pool_id) != new_call_id(pool_id)


@pytest.mark.parametrize("call_id", ["", "call_", "call_a", "call__0123456789abcdef", "lse_a_1"])
def test_what_is_no_call_has_no_pool(call_id: str) -> None:
    """Whatever is asked for is only looked up if it can be one."""
    assert pool_of_call(call_id) is None


def _holder(visitor: str) -> Holder:
    return Holder(
        visitor_id=visitor, destination="+16023133897", from_ms=0, until_ms=None, closed_ms=None,
        fence="1", data="",
    )  # fmt: skip


def _candidate(visitor: str, confidence: float) -> Candidate:
    return Candidate(holder=_holder(visitor), basis=Basis.ENDED, confidence=confidence, reason="so")


def _memory(visitor: str, *, at_ms: int = 10, number: str = "+1", sure: float = 1.0) -> Memory:
    return Memory(number=number, at_ms=at_ms, confidence=sure, holder=_holder(visitor))


def _recalled(*memories: Memory, candidates: list[Candidate]) -> list[tuple[str, str, float]]:
    found = recall(candidates, memories, number="+1", at_ms=100)
    return [(each.holder.visitor_id, each.basis.value, each.confidence) for each in found]


@pytest.mark.parametrize(
    ("memories", "candidates", "expected"),
    [
        ([], [_candidate("bob", 0.9)], [("bob", "ended", 0.9)]),
        ([_memory("ann")], [], [("ann", "caller_memory", 0.95)]),
        ([_memory("ann", at_ms=100)], [], []),
        ([_memory("ann", sure=0.5)], [], [("ann", "caller_memory", 0.475)]),
        ([_memory("ann", number="+2")], [], [("ann", "caller_memory", 0.5)]),
        (
            [_memory("ann", at_ms=1), _memory("cyd", number="+2", at_ms=50)],
            [],
            [("ann", "caller_memory", 0.95)],
        ),
        (
            [_memory("ann", number="+2", at_ms=1), _memory("cyd", number="+3", at_ms=50)],
            [],
            [("cyd", "caller_memory", 0.5)],
        ),
        ([_memory("ann")], [_candidate("ann", 0.96)], [("ann", "ended", 0.96)]),
        ([_memory("ann")], [_candidate("ann", 0.9)], [("ann", "caller_memory", 0.95)]),
        (
            [_memory("ann", sure=0.4)],
            [_candidate("bob", 0.9), _candidate("ann", 0.45)],
            [("bob", "ended", 0.558), ("ann", "ended", 0.45)],
        ),
        (
            [_memory("ann", number="+2")],
            [_candidate("bob", 0.4), _candidate("ann", 0.2)],
            [("ann", "caller_memory", 0.5), ("bob", "ended", 0.4)],
        ),
    ],
)
def test_who_called_before(
    memories: list[Memory],
    candidates: list[Candidate],
    expected: list[tuple[str, str, float]],
) -> None:
    """This number counts before others, the latest call before earlier ones, the better claim."""
    assert _recalled(*memories, candidates=candidates) == expected


def test_an_update_changes_only_what_it_says() -> None:
    """The frozen part is frozen."""
    call, _ = after(ANSWERED, OVER, CallUpdate(recording_url="https://rec.example/1"))

    kept = {
        name: getattr(RINGS, name)
        for name in ("id", "route_to", "basis", "confidence", "started_ms", "claims", "caller")
    }
    assert replace(call, **kept) == call
