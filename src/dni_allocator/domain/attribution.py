"""Whose number was this? Rank the holders of a number at an instant.

Confidence is a documented formula, not a feeling (docs/attribution.md):

| basis | confidence |
|---|---|
| `live`: the visitor had a page open at that instant | 1.00 |
| `closing`: the last page had been closed, the number was still locked | 0.95 |
| `ended`, not shown to anyone since | 0.90, falling linearly to 0.50 at the end of the window |
| `ended`, and shown to k others between the lease and the instant | the above / 2^k |
| `overflow`: k visitors saw the shared number within the window | 1 / (k + 1) |
| `caller_memory`: the caller dialed this number before | 0.95 of what that call had |
| `caller_memory`: they dialed another number of the pool | 0.50 of what that call had |
| `none` | 0 |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

LIVE = 1.0
CLOSING = 0.95
JUST_ENDED = 0.90
REDIALED = 0.95
KNOWN_CALLER = 0.50
END_OF_WINDOW = 0.50

NO_LEASE = "0"
"""The fence of a holder who was shown a shared number: leases count from 1."""


class Basis(StrEnum):
    """What the answer rests on."""

    LIVE = "live"
    CLOSING = "closing"
    ENDED = "ended"
    CALLER_MEMORY = "caller_memory"
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
class Memory:
    """What an earlier call of the same caller was taken for."""

    number: str
    at_ms: int
    confidence: float
    holder: Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One holder as an answer. `reason` is a sentence for a person."""

    holder: Holder
    basis: Basis
    confidence: float
    reason: str


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
    reason = f"A shared number, which {_visitors(len(seen))} saw within the window."
    return tuple(
        Candidate(holder=holder, basis=Basis.OVERFLOW, confidence=share, reason=reason)
        for holder in sorted(seen, key=lambda holder: -holder.from_ms)
    )


def recall(
    candidates: Sequence[Candidate], memories: Iterable[Memory], *, number: str, at_ms: int
) -> tuple[Candidate, ...]:
    """Weigh in whom this caller was taken for when they called before `at_ms`.

    A call to the same number tells against all others: as much as it tells for the remembered
    visitor is taken from them. That visitor is one candidate, with the better of their claims.
    """
    earlier = sorted((each for each in memories if each.at_ms < at_ms), key=lambda each: each.at_ms)
    if not earlier:
        return tuple(candidates)
    same = next((each for each in earlier if each.number == number), None)
    memory = same or earlier[-1]
    visitor_id = memory.holder.visitor_id
    weight = round((REDIALED if same else KNOWN_CALLER) * memory.confidence, 4)
    own = next((each for each in candidates if each.holder.visitor_id == visitor_id), None)
    if own is not None and own.confidence >= weight and own is candidates[0]:
        return tuple(candidates)
    which = "this number" if same else "another number of the pool"
    recalled = Candidate(
        holder=memory.holder if own is None else own.holder,
        basis=Basis.CALLER_MEMORY,
        confidence=weight,
        reason=f"This caller dialed {which} {_span(at_ms - memory.at_ms)} before, "
        "and was taken for this visitor.",
    )
    left = 1 - weight if same else 1
    others = [
        replace(each, confidence=round(each.confidence * left, 4))
        for each in candidates
        if each is not own
    ]
    theirs = own if own is not None and own.confidence >= weight else recalled
    return tuple(sorted([theirs, *others], key=lambda each: -each.confidence))


def _judge(holder: Holder, *, at_ms: int, window_ms: int, reshown: int) -> Candidate | None:
    if holder.until_ms is None or at_ms < holder.until_ms:
        if holder.closed_ms is not None and holder.closed_ms <= at_ms:
            return Candidate(
                holder=holder,
                basis=Basis.CLOSING,
                confidence=CLOSING,
                reason=f"Their last page had closed {_span(at_ms - holder.closed_ms)} before; "
                "the number was still locked for them.",
            )
        return Candidate(
            holder=holder,
            basis=Basis.LIVE,
            confidence=LIVE,
            reason="They had a page with this number open.",
        )
    since_end = at_ms - holder.until_ms
    if since_end >= window_ms:
        return None
    decayed = JUST_ENDED - (JUST_ENDED - END_OF_WINDOW) * since_end / window_ms
    others = f"{_visitors(reshown)} had the number since" if reshown else "nobody had it since"
    return Candidate(
        holder=holder,
        basis=Basis.ENDED,
        confidence=round(decayed / 2**reshown, 4),
        reason=f"Their lease had ended {_span(since_end)} before, and {others}.",
    )


def _visitors(count: int) -> str:
    return "1 visitor" if count == 1 else f"{count} visitors"


def _span(ms: int) -> str:
    """A length of time as people say it: the two largest units at most."""
    seconds = ms // 1000
    for unit, length, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= length:
            rest = seconds % length // part
            return f"{seconds // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004 -- a minute
