"""The tag looks for numbers in whatever a page says: it finds what stands there, and no more."""

import re
from collections.abc import Iterator
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from dni_allocator.domain.number import parse_number
from tests.support.fuzzing import FUZZ, PHONEISH, TEXT, Count
from tests.support.tagfinder import Finder, finding

DESTINATIONS: Final = {"US": "+16023133897", "GB": "+442079460123", "DE": "+493022610123"}
FORMS: Final = {
    e164: [e164, (number := parse_number(e164, country=country)).national, number.international]
    for country, e164 in DESTINATIONS.items()
}
KNOWN: Final = {re.sub(r"\D", "", form): e164 for e164, all_of in FORMS.items() for form in all_of}

SEPARATOR: Final = st.sampled_from(
    ["", " ", "-", ".", "/", "(", ")", "\u00a0", "\u2011", "\u2013", "\u200b", "\u2060", "\u202f",
     "\u00b7", "\u2212", ") ", " - "]
)  # fmt: skip
WORDS: Final = st.text("abcdefg hij,;:!?\n", max_size=20)


@pytest.fixture(scope="module")
def finder() -> Iterator[Finder]:
    """The tag's own source, that knows three destinations."""
    with finding() as asked:
        for e164, written in FORMS.items():
            asked.learn(e164, written)
        yield asked


@st.composite
def punctuated(draw: st.DrawFn) -> tuple[str, str]:
    """A destination as somebody might write it: the digits of one form, anything between."""
    digits = draw(st.sampled_from(sorted(KNOWN)))
    between = draw(st.lists(SEPARATOR, min_size=len(digits) - 1, max_size=len(digits) - 1))
    return digits, "".join(d + b for d, b in zip(digits, [*between, ""], strict=True))


@FUZZ
@given(number=punctuated(), before=WORDS, after=WORDS)
def test_a_number_is_found_however_it_is_punctuated(
    finder: Finder, count: Count, number: tuple[str, str], before: str, after: str
) -> None:
    """Between words, with any separators: once, whole, and as the destination it is."""
    digits, written = number
    text = f"{before} x {written} x {after}"

    found = finder.text(text)

    count("numbers on a page, punctuated (tag)")
    assert [each["destination"] for each in found] == [KNOWN[digits]]
    assert re.sub(r"\D", "", text[found[0]["start"] : found[0]["end"]]) == digits


@FUZZ
@given(text=st.lists(TEXT | PHONEISH | punctuated().map(lambda n: n[1]), max_size=6).map("".join))
@example(text="+16023133897" * 50)
@example(text="1" * 5000)
@example(text="\U0001d7d9" * 20 + "(602) 313-3897")
def test_what_is_found_stands_there(finder: Finder, count: Count, text: str) -> None:
    """In any text: ranges in order, none over another, each with the digits of a known form."""
    units = text.encode("utf-16-le")  # as JavaScript counts

    found = finder.text(text)

    count("texts of a page (tag)")
    last = 0
    for each in found:
        assert last <= each["start"] < each["end"] <= len(units) // 2
        last = each["end"]
        there = units[2 * each["start"] : 2 * each["end"]].decode("utf-16-le")
        digits = re.sub("[^0-9]", "", there)
        assert KNOWN[digits] == each["destination"]
        assert len(each["digits"]) == len(digits)


@FUZZ
@given(number=punctuated(), more=st.text("0123456789", min_size=1, max_size=3), first=st.booleans())
def test_a_part_of_a_longer_number_is_not_found(
    finder: Finder,
    count: Count,
    number: tuple[str, str],
    more: str,
    first: bool,  # noqa: FBT001 -- drawn
) -> None:
    """An order number or a card number is not swapped because a destination stands inside it."""
    digits, written = number
    text = f"{more}{written}" if first else f"{written}{more}"
    longer = more + digits if first else digits + more

    found = finder.text(f"x {text} x")

    count("longer numbers (tag)")
    taken = {re.sub(r"\D", "", f"x {text} x"[each["start"] : each["end"]]) for each in found}
    assert digits not in taken or longer in KNOWN


@FUZZ
@given(
    source=st.tuples(
        st.sampled_from(["tel:", "TEL://", "sms:", "tel:%2B", "callto:", "mailto:", ""]),
        TEXT | PHONEISH | punctuated().map(lambda n: n[1]),
    ).map("".join)
)
@example(source="tel:%")
@example(source="tel:%E0%A4%A")
def test_no_link_breaks_the_tag(finder: Finder, count: Count, source: str) -> None:
    """At most one number in a link, and it lies within it."""
    found = finder.link(source)

    count("links of a page (tag)")
    assert len(found) <= 1
    for each in found:
        assert source[: each["start"]].lower().startswith(("tel:", "sms:"))
        assert each["destination"] in FORMS
