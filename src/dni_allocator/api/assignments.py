"""An assignment as JSON: as a dictionary for backends, and written at once for pages."""

from functools import lru_cache
from typing import TypedDict

import orjson

from dni_allocator.domain.lease import Answer, Assignment, Leased, Overflow
from dni_allocator.domain.number import Formats, parse_number
from dni_allocator.domain.pool import Pool
from dni_allocator.metrics import Metrics

MOST_NUMBERS_KEPT = 10_000
"""Numbers that are kept as they are written in answers, about 0.5 kB each."""


class FormatsJson(TypedDict):
    """`FormatsOut`, as it is built on the hot path."""

    e164: str
    national: str
    international: str
    rfc3966: str


class NumberJson(TypedDict):
    """`AssignedNumberOut`, as it is built on the hot path."""

    destination: str
    number: str
    display: str
    formats: FormatsJson
    status: str
    reason: str
    expires_in_s: int | None
    lease_id: str | None


class AssignmentJson(TypedDict):
    """`AssignOut`, as it is built on the hot path."""

    visitor_id: str
    page_id: str
    heartbeat_s: int | None
    numbers: list[NumberJson]


def written(assignment: Assignment, metrics: Metrics) -> bytes:
    """What `assignment_json` says, as JSON: for page views, at a quarter of the cost.

    Of what a lease's answer says only four values change between two page views of one visitor.
    None of these, nor the ids, can hold what JSON would have to escape: the edge checks ids, and
    the rest is ours.
    """
    rows = []
    visitor_id, page_id, beat, answers, pools = assignment
    for at, answer in enumerate(answers):  # `zip` with `strict` costs 2,000 instructions
        pool = pools[at]
        reason = str(answer.reason)  # the hash of an enum's member is a call of its own
        if type(answer) is Leased:
            status = "leased"
            destination, shown, _, lease_id, expires_in_ms = answer
            rows.append(
                f'{_number(destination, shown, pool.shows)},"status":"leased",'
                f'"reason":"{reason}","expires_in_s":{expires_in_ms // 1000},'
                f'"lease_id":"{lease_id}"}}'
            )
        else:
            row = _number_json(answer, pool)
            status = row["status"]
            rows.append(orjson.dumps(row).decode())
        metrics.assigned[pool.id, status, reason] += 1
    return (
        f'{{"visitor_id":"{visitor_id}","page_id":"{page_id}",'
        f'"heartbeat_s":{"null" if beat is None else beat},"numbers":[{",".join(rows)}]}}'
    ).encode()


@lru_cache(maxsize=MOST_NUMBERS_KEPT)
def _number(destination: str, shown: Formats, display: int) -> str:
    """The part of an answer that is the same as long as a visitor has the number, not closed."""
    told = {
        "destination": destination,
        "number": shown.e164,
        "display": shown[display],
        "formats": _formats_json(shown),
    }
    return orjson.dumps(told).decode().removesuffix("}")


def assignment_json(assignment: Assignment, metrics: Metrics) -> AssignmentJson:
    """An assignment as `AssignOut` describes it; each number is counted for the pool it is of."""
    numbers = []
    for answer, pool in zip(assignment.answers, assignment.pools, strict=True):
        row = _number_json(answer, pool)
        metrics.assigned[pool.id, row["status"], row["reason"]] += 1
        numbers.append(row)
    return {
        "visitor_id": assignment.visitor_id,
        "page_id": assignment.page_id,
        "heartbeat_s": assignment.heartbeat_s,
        "numbers": numbers,
    }


def _number_json(answer: Answer, pool: Pool) -> NumberJson:
    expires_in_s: int | None = None
    lease_id: str | None = None
    if isinstance(answer, Leased):
        status, shown = "leased", answer.formats
        expires_in_s, lease_id = answer.expires_in_ms // 1000, answer.lease_id
    elif isinstance(answer, Overflow):
        status, shown = "overflow", answer.formats
    else:
        original = parse_number(answer.destination, country=pool.settings.country)
        status = "original"
        shown = Formats(
            e164=original.e164,
            national=original.national,
            international=original.international,
            rfc3966="tel:" + original.international.replace(" ", "-"),
        )
    return {
        "destination": answer.destination,
        "number": shown.e164,
        "display": shown[pool.shows],
        "formats": _formats_json(shown),
        "status": status,
        "reason": str(answer.reason),
        "expires_in_s": expires_in_s,
        "lease_id": lease_id,
    }


def _formats_json(shown: Formats) -> FormatsJson:
    return {
        "e164": shown.e164,
        "national": shown.national,
        "international": shown.international,
        "rfc3966": shown.rfc3966,
    }
