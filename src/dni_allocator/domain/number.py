"""One phone number: read from what people type, written in the formats pages show.

Built on `phonenumbers` (Google's libphonenumber data); E.164 and RFC 3966 are the outside rules.
A number is a string everywhere: as an integer it would lose its plus, and in Lua its last digits.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from dni_allocator.domain.errors import InvalidNumber

MOST_DIGITS_TYPED = 40
"""Longer texts are no phone numbers; refused before the parser spends time on them."""


_E164_FORM = re.compile(r"\+[1-9][0-9]{2,14}")
_NANP_LENGTH = len("+12025550123")


class NumberType(StrEnum):
    """What a number is billed and matched as."""

    LOCAL = "local"
    TOLL_FREE = "toll_free"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A valid number with its display formats, all computed once, when it is attached."""

    e164: str
    national: str
    international: str
    type: NumberType
    calling_code: int
    national_digits: str
    """Digits of the national format: with the trunk prefix where the country writes one."""


class Formats(NamedTuple):
    """The four ways a number is shown, by the names of the HTTP answer.

    A named tuple for the reason given in `domain.lease`.
    """

    e164: str
    national: str
    international: str
    rfc3966: str


def plain_international(e164: str) -> str:
    """The international format where it follows from the number, as in the NANP; else "".

    Most numbers of most pools are such, and what need not be stored costs no memory.
    """
    if len(e164) == _NANP_LENGTH and e164.startswith("+1"):
        return f"+1 {e164[2:5]}-{e164[5:8]}-{e164[8:]}"
    return ""


def formats(e164: str, *, national: str, international: str) -> Formats:
    """Complete the stored formats: RFC 3966 is the international one with hyphens.

    `international` is empty where it follows from the number.
    """
    international = international or plain_international(e164)
    return Formats(e164, national, international, "tel:" + international.replace(" ", "-"))


@lru_cache(maxsize=16_384)
def parse_number(text: str, *, country: str) -> PhoneNumber:
    """Read a number typed as E.164, or as one dials it inside `country` (ISO 3166-1 alpha-2).

    Raises `InvalidNumber` with a sentence that does not repeat the text: it could be personal.
    Costs about 35 µs the first time, then a dictionary look-up.
    """
    if not 0 < len(text) <= MOST_DIGITS_TYPED:
        message = "A phone number has 3 to 15 digits."
        raise InvalidNumber(message)
    try:
        parsed = phonenumbers.parse(text, country)
    except NumberParseException as error:
        message = "This cannot be read as a phone number."
        raise InvalidNumber(message) from error
    if parsed.extension:
        message = "A number with an extension cannot be shared out; give the plain number."
        raise InvalidNumber(message)
    if not phonenumbers.is_valid_number(parsed):
        message = f"No such number can exist: wrong length or unassigned range (read as {country})."
        raise InvalidNumber(message)
    national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    return PhoneNumber(
        e164=phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        national=national,
        international=phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL),
        type=_TYPES.get(phonenumbers.number_type(parsed), NumberType.OTHER),
        calling_code=parsed.country_code or 0,
        national_digits="".join(filter(str.isdigit, national)),
    )


def caller_number(text: str, *, country: str) -> str:
    """The number of somebody who calls, E.164; `country` is where they dialed.

    Networks show callers whose number is not in any plan (short codes, other countries' special
    ranges), so what has the form of E.164 will do. Raises `InvalidNumber`.
    """
    try:
        return parse_number(text, country=country).e164
    except InvalidNumber:
        plain = re.sub(r"[\s().-]", "", text)
        if _E164_FORM.fullmatch(plain):
            return plain
        raise


def calling_code_of(country: str) -> int:
    """The calling code of a country (1 for US and CA alike); 0 when there is no such country."""
    return phonenumbers.country_code_for_region(country)


_TYPES = {
    PhoneNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    PhoneNumberType.FIXED_LINE: NumberType.LOCAL,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberType.LOCAL,
    PhoneNumberType.MOBILE: NumberType.LOCAL,
    PhoneNumberType.VOIP: NumberType.LOCAL,
}
