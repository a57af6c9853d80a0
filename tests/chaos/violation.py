"""What a rule of the checker yields, and what several of them ask."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.history import History, Line, Operation
from tests.chaos.holds import Holds, forgettable

RENEWED: Final = "renewed"
BEGUN: Final = frozenset({"new", "returned"})


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, with the records that prove it."""

    rule: str
    what: str
    records: tuple[Line, ...] = ()


Rule = Callable[[History, Holds], Iterator[Violation]]


def fence(lease_id: str | None) -> int:
    """The count of leases of the pool that a lease id ends with."""
    return int((lease_id or "0").rpartition("_")[2])


def may_be_forgotten(history: History, line: Line) -> bool:
    """Whether a fault excuses that this is not true any more: of an event, any that forgets."""
    if not isinstance(line, Operation) or line.end is None:
        return any(fault.forgets_s > 0 for fault in history.faults)
    begin, end = line.begin, line.end
    return any(forgettable(fault, begin, end) for fault in history.faults)
