"""Calls as CSV, for spreadsheets and imports (RFC 4180).

A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a return for a formula
(OWASP, CSV injection), and much of a call was told by a page, which anybody may visit. Such cells
get an apostrophe before them; numbers, which are checked, do not.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from dni_allocator.domain.call import Call
from dni_allocator.domain.events import iso_utc

COLUMNS: Final = (
    "id", "pool_id", "number", "caller", "provider", "provider_call_id", "route_to", "status",
    "started_at", "answered_at", "ended_at", "duration_s", "first_time_caller", "source",
    "source_name", "source_id", "medium", "outcome", "value", "currency", "recording_url",
    "qualified", "basis", "confidence", "visitor_id", "lease_id", "url", "referrer", "fields",
)  # fmt: skip

_DANGEROUS: Final = re.compile(r"^[=+\-@\t\r\n]")
_NUMBER: Final = re.compile(r"\+[0-9]{3,15}")


def header() -> str:
    """The first line."""
    return _lines([COLUMNS])


def lines(calls: Iterable[Call]) -> str:
    """A line for each call; instants in UTC, captured fields as `name=value` and blanks."""
    return _lines([_row(call) for call in calls])


def safe(cell: str) -> str:
    """The cell as no spreadsheet takes it for a formula."""
    if _DANGEROUS.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _row(call: Call) -> list[str]:
    told: dict[str, object] = {
        "started_at": iso_utc(call.started_ms),
        "answered_at": None if call.answered_ms is None else iso_utc(call.answered_ms),
        "ended_at": None if call.ended_ms is None else iso_utc(call.ended_ms),
        "fields": " ".join(f"{name}={value}" for name, value in sorted(call.fields.items())),
    }
    return [safe(_text(told[name] if name in told else getattr(call, name))) for name in COLUMNS]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
