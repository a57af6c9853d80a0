"""The checker against the model of the pool: right histories pass, and none that was bent does."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.chaos.checker import violations
from tests.chaos.generated import NUMBERS, Step, served, steps
from tests.chaos.history import ASSIGN, HEARTBEAT, History, Line, Operation, Recorder, Shown, Told
from tests.chaos.holds import Holds, Lease
from tests.chaos.timeline import ENDED

L = TypeVar("L", bound=Line)


def broken(history: History) -> set[str]:
    """The rules that were broken."""
    return {each.rule for each in violations(history)}


def with_other(history: History, old: L, new: L | None) -> History:
    """The same history with one line replaced, or without it."""
    lines = [new if each is old else each for each in history.lines()]
    return History.of(each for each in lines if each is not None)


@given(steps())
@settings(max_examples=300, deadline=None)
def test_a_service_that_keeps_its_promises_is_never_accused(requests: list[Step]) -> None:
    """Whatever is sent, lost, late, served twice or overlaps."""
    assert violations(served(requests)) == []


Mutation = Callable[[History, Holds, int], tuple[History, str] | None]


def _certain(holds: Holds, pick: int) -> Lease | None:
    found = [
        lease
        for lease in holds.leases.values()
        if any(end - begin > 0.2 for begin, end in lease.locked)
    ]
    return found[pick % len(found)] if found else None


def stolen(history: History, holds: Holds, pick: int) -> tuple[History, str] | None:
    """A number is given to somebody else while it is certainly held."""
    lease = _certain(holds, pick)
    if lease is None:
        return None
    begin, _ = next(span for span in lease.locked if span[1] - span[0] > 0.2)
    shown = Shown(
        destination=lease.destination, number=lease.number, status="leased", reason="new",
        lease_id="lse_a_9999", expires_in_s=5,
    )  # fmt: skip
    theft = Operation(
        call=ASSIGN, begin=begin, end=begin + 0.1, pool=lease.pool, visitor="thief",
        page="p", status=200, shown=(shown,),
    )  # fmt: skip
    return History.of([*history.lines(), theft]), "exclusive"


def _renewals(history: History, holds: Holds, call: str) -> list[tuple[Operation, Lease]]:
    return [
        (each, lease)
        for each in history.operations
        if each.call == call and each.good and each.end is not None
        for lease in holds.of[each.pool, each.visitor]
        if lease.lives(each.begin, each.end)
        and (call == HEARTBEAT or lease.id in {shown.lease_id for shown in each.shown})
    ]


def another_number(history: History, holds: Holds, pick: int) -> tuple[History, str] | None:
    """A page view of who certainly holds a number is answered with another one."""
    found = _renewals(history, holds, ASSIGN)
    if not found:
        return None
    each, lease = found[pick % len(found)]
    other = next(number for number in NUMBERS if number != lease.number)
    shown = tuple(
        dataclasses.replace(it, number=other) if it.lease_id == lease.id else it
        for it in each.shown
    )
    return with_other(history, each, dataclasses.replace(each, shown=shown)), "idempotent"


def gone(history: History, holds: Holds, pick: int) -> tuple[History, str] | None:
    """A heartbeat of who certainly holds a number finds nothing."""
    found = _renewals(history, holds, HEARTBEAT)
    if not found:
        return None
    each, _ = found[pick % len(found)]
    bent = dataclasses.replace(each, gone=True, expires_in_s=None)
    return with_other(history, each, bent), "idempotent"


def an_event_less(history: History, _: Holds, pick: int) -> tuple[History, str] | None:
    """An event that was written never comes."""
    ends = [each for each in history.events if each.type == ENDED]
    return (with_other(history, ends[pick % len(ends)], None), "events") if ends else None


def an_event_more(history: History, _: Holds, pick: int) -> tuple[History, str] | None:
    """One fact becomes two events."""
    if not history.events:
        return None
    event: Told = history.events[pick % len(history.events)]
    return History.of([*history.lines(), dataclasses.replace(event, id="evt_again")]), "events"


def somebody_else(history: History, _: Holds, pick: int) -> tuple[History, str] | None:
    """An attribution names a stranger."""
    found = [each for each in history.operations if each.who is not None and each.who.visitor]
    if not found:
        return None
    each = found[pick % len(found)]
    assert each.who is not None
    who = dataclasses.replace(each.who, visitor="stranger")
    return with_other(history, each, dataclasses.replace(each, who=who)), "attribution"


MUTATIONS: tuple[Mutation, ...] = (
    stolen, another_number, gone, an_event_less, an_event_more, somebody_else,
)  # fmt: skip


@given(requests=steps(), mutation=st.sampled_from(MUTATIONS), pick=st.integers(0, 50))
@settings(max_examples=300, deadline=None)
def test_what_was_bent_is_found(requests: list[Step], mutation: Mutation, pick: int) -> None:
    """One line of a right history is changed, so that it certainly cannot have been."""
    history = served(requests)
    bent = mutation(history, Holds(history), pick)
    assume(bent is not None)
    assert bent is not None

    assert bent[1] in broken(bent[0])


@given(requests=steps())
@settings(max_examples=20, deadline=None)
def test_a_record_is_read_as_it_was_written(
    requests: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """So a run that failed can be judged again."""
    history = served(requests)
    path = tmp_path_factory.mktemp("record") / "history.jsonl"
    recorder = Recorder(path)
    for line in history.lines():
        recorder.add(line)
    recorder.close()

    assert History.read(path) == history == recorder.history
