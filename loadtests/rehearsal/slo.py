"""What a rehearsal is held to, and whether it held."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from loadtests.rehearsal.ledger import PEOPLE, Ledger


class Verdict(StrEnum):
    """What asking `/attribution` for a shown number found.

    While the lease certainly lived only RIGHT is right. Afterwards another visitor may have the
    number by good right (LATE_OTHER), which is what pools are sized against.
    """

    RIGHT = "right"
    WRONG = "wrong"
    LATE_RIGHT = "late_right"
    LATE_OTHER = "late_other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Bounds. Shares from 0 to 1; of `turned_away` only people count, never robots."""

    p99_ms: float = 50.0
    failed: float = 0.001
    turned_away: float = 0.01


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of the verdict."""

    what: str
    seen: str
    bound: str
    held: bool


def judge(
    ledger: Ledger, objectives: Objectives, *, excused: Sequence[int] = ()
) -> list[Judgement]:
    """Hold what was seen against the objectives.

    `excused`: seconds in which the service was taken away on purpose. Failures and latencies of
    requests sent then do not count; wrong and doubled numbers always do.
    """
    seconds = {second for seen in ledger.calls.values() for second in seen} - set(excused)
    answered = failed = 0
    for seen in ledger.calls.values():
        for second in seconds & seen.keys():
            answered += seen[second].answered
            failed += seen[second].failed
    failed_share = failed / answered if answered else 1.0
    p99 = ledger.percentile_ms("assign", 0.99, seconds=sorted(seconds))
    people = {"leased": 0, "overflow": 0, "original": 0}
    for (who, status, _), count in ledger.shown.items():
        if who == PEOPLE:
            people[status] = people.get(status, 0) + count
    shown = sum(people.values())
    away = (shown - people["leased"]) / shown if shown else 1.0
    wrong = ledger.verdicts[Verdict.WRONG]
    asked = ledger.verdicts.total()
    return [
        Judgement(
            "p99 of /assign", f"{p99:.1f} ms", f"≤ {objectives.p99_ms:g} ms",
            0 < p99 <= objectives.p99_ms,
        ),
        Judgement(
            "requests that failed", f"{failed} of {answered} ({failed_share:.3%})",
            f"≤ {objectives.failed:.2%}", failed_share <= objectives.failed,
        ),
        Judgement(
            "people without a number of their own",
            f"{shown - people['leased']} of {shown} ({away:.2%})",
            f"≤ {objectives.turned_away:.2%}", away <= objectives.turned_away,
        ),
        Judgement("attributions that were wrong", f"{wrong} of {asked}", "0", wrong == 0),
        Judgement("numbers held by two at once", str(ledger.doubled), "0", ledger.doubled == 0),
    ]  # fmt: skip
