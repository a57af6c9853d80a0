"""Whose number was this? Rank the holders of a number at an instant.

Confidence is a documented formula, not a feeling (docs/attribution.md):

| basis | confidence |
|---|---|
| `live`: the visitor had a page open at that instant | 1.00 |
| `closing`: the last page had been closed, the number was still locked | 0.95 |
| `ended`, not shown to anyone since | 0.90, falling linearly to 0.50 at the end of the window |
| `ended`, and shown to k others between the lease and the instant | the above / 2^k |
| `overflow`: k visitors saw the shared number within the window | 1 / (k + 1) |
| `none` | 0 |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

LIVE = 1.0
CLOSING = 0.95
JUST_ENDED = 0.90
END_OF_WINDOW = 0.50

NO_LEASE = "0"
"""The fence of a holder who was shown a shared number: leases count from 1."""


class Basis(StrEnum):
    """What the answer rests on."""

    LIVE = "live"
    CLOSING = "closing"
    ENDED = "ended"
    OVERFLOW = "overflow"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A visitor who has, or had, a number. Times in ms since the epoch."""

    visitor_id: str
    destination: str
    from_ms: int
    until_ms: int | None
    """End of the lease; None while it lives, and for a shared number, which has no end."""
    closed_ms: int | None
    """When the last page closed, for a living lease that is about to end."""
    fence: str
    data: str

    @property
    def shared(self) -> bool:
        """Whether the number was shown as an overflow number, to any number of visitors."""
        return self.fence == NO_LEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One holder as an answer."""

    holder: Holder
    basis: Basis
    confidence: float


def rank(holders: Iterable[Holder], *, at_ms: int, window_ms: int) -> tuple[Candidate, ...]:
    """Rank the holders of a number for a call at `at_ms`, the best first.

    A holder counts from the instant of the lease until `window_ms` after its end, that excluded.
    Those that came between a holder and the instant each halve its confidence. Order among equals:
    the latest.
    """
    seen = sorted(
        (holder for holder in holders if not holder.shared and holder.from_ms <= at_ms),
        key=lambda holder: holder.from_ms,
        reverse=True,
    )
    candidates = []
    others: list[str] = []
    for holder in seen:
        reshown = len({visitor for visitor in others if visitor != holder.visitor_id})
        others.append(holder.visitor_id)
        judged = _judge(holder, at_ms=at_ms, window_ms=window_ms, reshown=reshown)
        if judged is not None:
            candidates.append(judged)
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        # A visitor who had the number several times is one candidate, with their best claim.
        known = best.get(candidate.holder.visitor_id)
        if known is None or candidate.confidence > known.confidence:
            best[candidate.holder.visitor_id] = candidate
    return tuple(sorted(best.values(), key=lambda each: -each.confidence))


def rank_shared(holders: Sequence[Holder], *, at_ms: int, window_ms: int) -> tuple[Candidate, ...]:
    """Rank the visitors who were shown a shared number: all alike, the latest first."""
    seen = [
        holder
        for holder in holders
        if holder.shared and holder.from_ms <= at_ms < holder.from_ms + window_ms
    ]
    share = round(1 / (len(seen) + 1), 4)
    return tuple(
        Candidate(holder=holder, basis=Basis.OVERFLOW, confidence=share)
        for holder in sorted(seen, key=lambda holder: -holder.from_ms)
    )


def _judge(holder: Holder, *, at_ms: int, window_ms: int, reshown: int) -> Candidate | None:
    if holder.until_ms is None or at_ms < holder.until_ms:
        closing = holder.closed_ms is not None and holder.closed_ms <= at_ms
        return Candidate(
            holder=holder,
            basis=Basis.CLOSING if closing else Basis.LIVE,
            confidence=CLOSING if closing else LIVE,
        )
    since_end = at_ms - holder.until_ms
    if since_end >= window_ms:
        return None
    decayed = JUST_ENDED - (JUST_ENDED - END_OF_WINDOW) * since_end / window_ms
    return Candidate(holder=holder, basis=Basis.ENDED, confidence=round(decayed / 2**reshown, 4))
