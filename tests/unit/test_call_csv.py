"""Calls as CSV: readable by a program, harmless in a spreadsheet."""

import csv
import io

import pytest

from dni_allocator.api.call_csv import COLUMNS, header, lines, safe
from dni_allocator.domain.attribution import Basis
from dni_allocator.domain.call import Call

CALL = Call(
    id="call_a_0123456789abcdef", pool_id="pool_a", number="+16025550100", caller="+14155550177",
    route_to="+16023133897", started_ms=1_800_000_000_000, basis=Basis.LIVE, confidence=1.0,
    visitor_id="@ann", url="=1+1", fields={"utm_term": 'a "b", c\n=d', "a": "1"}, updated_ms=1,
)  # fmt: skip


def test_every_call_is_a_row() -> None:
    """Quotes, commas and line ends of captured data stay inside their cell."""
    (row,) = csv.DictReader(io.StringIO(header() + lines([CALL])))

    assert list(row) == list(COLUMNS)
    assert (row["number"], row["caller"]) == ("+16025550100", "+14155550177")
    assert row["started_at"] == "2027-01-15T08:00:00.000Z"
    assert row["fields"] == 'a=1 utm_term=a "b", c\n=d'
    assert (row["qualified"], row["duration_s"]) == ("false", "")
    assert (row["url"], row["visitor_id"]) == ("'=1+1", "'@ann")


@pytest.mark.parametrize(
    "cell", ["=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1",
             "+1+1"],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_is_text(cell: str) -> None:
    """Pages tell these things, and anybody may visit a page."""
    assert safe(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+16025550100", "a=b", "", "ann", "1-2", " =1"])
def test_all_else_is_left_as_it_is(cell: str) -> None:
    """A program that reads the file finds what was recorded."""
    assert safe(cell) == cell
