"""Reading phone numbers as people type them."""

import pytest

from dni_allocator.domain.errors import InvalidNumber
from dni_allocator.domain.number import NumberType, calling_code_of, formats, parse_number


@pytest.mark.parametrize(
    ("typed", "country", "e164"),
    [
        ("+16025550100", "US", "+16025550100"),
        ("+1 (602) 555-0100", "DE", "+16025550100"),
        ("6025550100", "US", "+16025550100"),
        ("1-602-555-0100", "US", "+16025550100"),
        ("602.555.0100", "CA", "+16025550100"),
        ("  (602) 555-0100  ", "US", "+16025550100"),
        ("tel:+1-602-555-0100", "US", "+16025550100"),
        ("＋１６０２５５５０１００", "US", "+16025550100"),  # noqa: RUF001 - full-width digits
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "US", "+442079460018"),
        ("0044 20 7946 0018", "GB", "+442079460018"),
        ("030 231250", "DE", "+4930231250"),
        ("06 12 34 56 78", "FR", "+33612345678"),
    ],
)
def test_texts_that_are_numbers(typed: str, country: str, e164: str) -> None:
    """Punctuation, trunk prefixes and international prefixes are all understood."""
    assert parse_number(typed, country=country).e164 == e164


@pytest.mark.parametrize(
    "typed",
    ["", " ", "x", "call us", "123", "911", "+1", "+1602555010", "+160255501000", "+16025550100x5",
     "+10005550100", "6025550100;ext=7", "+999123456789", "9" * 41, "\0", "\t\n", "+",
     "+1602555\0100", "6025550100, 6025550101"],
    ids=ascii,
)  # fmt: skip
def test_texts_that_are_none(typed: str) -> None:
    """Too short, too long, unassigned, an extension, words: refused, and never repeated."""
    with pytest.raises(InvalidNumber) as caught:
        parse_number(typed, country="US")

    assert not typed.strip() or typed not in caught.value.detail


def test_a_national_number_needs_its_country() -> None:
    """The same digits are a number in one country and none in another."""
    assert parse_number("020 7946 0018", country="GB").calling_code == 44
    with pytest.raises(InvalidNumber):
        parse_number("020 7946 0018", country="US")


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("+16025550100", NumberType.LOCAL), ("+18005550100", NumberType.TOLL_FREE),
        ("+18885550100", NumberType.TOLL_FREE), ("+447400123456", NumberType.LOCAL),
        ("+448081570000", NumberType.TOLL_FREE), ("+19005550100", NumberType.OTHER),
    ],
)  # fmt: skip
def test_types(typed: str, kind: NumberType) -> None:
    """Toll-free and premium numbers are told from ordinary ones."""
    assert parse_number(typed, country="US").type is kind


def test_display_formats() -> None:
    """All forms are made once; the RFC 3966 form is a link target."""
    number = parse_number("+442079460018", country="GB")
    shown = formats(number.e164, national=number.national, international=number.international)

    assert shown.e164 == "+442079460018"
    assert shown.national == "020 7946 0018"
    assert shown.international == "+44 20 7946 0018"
    assert shown.rfc3966 == "tel:+44-20-7946-0018"
    assert number.national_digits == "02079460018"


def test_calling_codes() -> None:
    """Countries share codes; what is no country has none."""
    assert (calling_code_of("US"), calling_code_of("CA"), calling_code_of("GB")) == (1, 1, 44)
    assert calling_code_of("ZZ") == 0
