"""Giving a number back to its vendor: out of the pool first, slowly, then out of the account.

    resting -> leaving -> releasing -> done | failed
       |_________|__ cancelled

A number that rests is in quarantine and comes back in an instant; one that leaves waits for its
lease to end. Only when the pool does not have it any more is the vendor asked.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ReleaseState(StrEnum):
    """Where it is."""

    RESTING = "resting"
    LEAVING = "leaving"
    RELEASING = "releasing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


CLOSED: Final = frozenset({ReleaseState.DONE, ReleaseState.FAILED, ReleaseState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One number on its way back. `due_ms`: when the rest is over.

    `origin` is `operator` or the id of a decision to scale. `monthly` is what it cost, as text;
    empty: unknown.
    """

    id: str
    pool_id: str
    vendor: str
    number: str
    created_ms: int
    updated_ms: int
    due_ms: int
    monthly: str = ""
    currency: str = ""
    origin: str = "operator"
    state: ReleaseState = ReleaseState.RESTING
    tries: int = 0
    problem: str = ""

    @property
    def closed(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in CLOSED

    def waits(self) -> int:
        """How long to leave it alone after a step that did not get on, ms: up to ten minutes."""
        return int(min(600_000, 5_000 * 2 ** min(self.tries, 7)))
