"""What came of a run, in figures and in a few lines for people."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tests.chaos.history import History
from tests.chaos.holds import disturbed
from tests.chaos.violation import Violation

SHOWN_VIOLATIONS: Final = 10


def report(history: History, found: Sequence[Violation]) -> dict[str, object]:
    """The figures of one run."""
    operations = history.operations
    good = sorted(each.end for each in operations if each.good and each.end is not None)
    leases = {shown.lease_id for each in operations for shown in each.shown} - {None}
    down: dict[str, float] = defaultdict(float)
    for fault in history.faults:
        over = fault.end if fault.served is None else fault.served
        gaps = [after - before for before, after in pairwise(good) if fault.begin < after <= over]
        down[fault.name] = max(down[fault.name], *gaps, 0.0)
    return {
        "operations": len(operations),
        "by_call": dict(Counter(each.call for each in operations)),
        "by_status": dict(Counter(str(each.status or each.failure) for each in operations)),
        "unexplained_503": sum(
            each.status == 503 and not disturbed(history, each.begin, each.end or each.begin)
            for each in operations
        ),
        "faults": len(history.faults),
        "by_fault": dict(Counter(each.name for each in history.faults)),
        "longest_without_service_s": {name: round(gap, 2) for name, gap in down.items()},
        "leases": len(leases),
        "deliveries": len(history.events),
        "events": len({each.id for each in history.events}),
        "seconds": round(good[-1] - good[0], 1) if good else 0,
        "violations": len(found),
        "by_rule": dict(Counter(each.rule for each in found)),
    }


def explained(found: Sequence[Violation]) -> str:
    """The first violations with the records that prove them."""
    lines = []
    for each in found[:SHOWN_VIOLATIONS]:
        lines.append(f"{each.rule}: {each.what}")
        lines += [f"    {record}" for record in each.records]
    if len(found) > SHOWN_VIOLATIONS:
        lines.append(f"and {len(found) - SHOWN_VIOLATIONS} more")
    return "\n".join(lines)
