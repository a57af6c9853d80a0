"""Where a number belongs: type, area code, region, rate centre, position; its shelf by name.

Two free numbers of equal `Place` are interchangeable, so they lie on one shelf. What the vendor or
the operator says about a number wins; the rest comes from the packaged table (`domain.geodata`).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from dni_allocator.domain.geodata.table import table
from dni_allocator.domain.number import NumberType, PhoneNumber

NANP: Final = 1
"""The calling code of the North American Numbering Plan."""

_DECIMALS: Final = 2
"""Of a position: about one kilometre, so that noise in coordinates does not split a shelf."""

_AREA_DIGITS: Final = 3
_PREFIX_DIGITS: Final = 6
"""Of a number of the NANP: area code and exchange."""

_FIXED: Final = {PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE}

_NAME_BYTES: Final = 5
"""Of a shelf's name: 40 bits, ten hexadecimal digits. A pool has hundreds of shelves at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number belongs, as far as known; "" and None: unknown, or there is none.

    `area_code` is the national destination code: three digits in the NANP (8XX of a toll-free
    number). Outside the NANP, numbers that belong to no area (mobile, VoIP, all of a country
    without area codes) have "".

    `region` is the code of the state or province in the United States and Canada (AZ, ON), the
    country in the rest of the NANP (JM), elsewhere the name of the area as libphonenumber has it
    (Berlin). `country` is ISO 3166-1 alpha-2; a non-geographic calling code has "001".

    Where only the area code is known, the position is the middle of the area code.
    """

    type: NumberType
    calling_code: int
    country: str
    area_code: str
    region: str
    rate_centre: str
    latitude: float | None
    longitude: float | None

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, if both are known."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude

    def as_text(self) -> str:
        """Canonical JSON: equal places have equal texts. `from_text` reads it."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> "Place":
        """The place `as_text` was made from."""
        fields = json.loads(text)
        return cls(**{**fields, "type": NumberType(fields["type"])})


@lru_cache(maxsize=16_384)
def place_of(
    number: PhoneNumber,
    *,
    rate_centre: str | None = None,
    region: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> Place:
    """Where a number belongs; what is given wins over the table, "" is as good as None.

    A position needs both degrees. A rate centre given without one takes the position the table has
    for the centre of that name in that region, else the middle of the area code: the town the
    table has for the prefix may be another one.

    Costs about 65 µs the first time, then a look-up; the very first call reads the table.
    """
    known = _known(number)
    if region and (given := _region(region, number.calling_code)) != known.region:
        # The table is wrong about the region, so its centre and position are of another one.
        known = _at(replace(known, region=given, rate_centre=""), None)
    if rate_centre and (name := normalised(rate_centre)) != known.rate_centre:
        position = _position_of_centre(known, name)
        known = _at(replace(known, rate_centre=name), position)
    if latitude is not None and longitude is not None:
        known = _at(known, (latitude, longitude))
    return known


@lru_cache(maxsize=16_384)
def shelf_name(place: Place) -> str:
    """The name of the shelf of all free numbers of this place: ten hexadecimal digits, stable."""
    return blake2b(place.as_text().encode(), digest_size=_NAME_BYTES).hexdigest()


def normalised(name: str) -> str:
    """The name of a rate centre as it is compared: upper case, single blanks."""
    return " ".join(name.upper().split())


def area_code_of(number: phonenumbers.PhoneNumber, *, listed: Callable[[int, str], bool]) -> str:
    """The area code of a geographic number outside the NANP, "" if it belongs to no area.

    Where numbers are dialled whole (Spain, Poland) libphonenumber knows no area codes, but groups
    digits: the first group counts if `listed` (calling code, digits) knows an area by it. The 9 in
    front of mobile numbers of Argentina is not part of their area code.
    """
    calling_code = number.country_code or 0
    digits = phonenumbers.national_significant_number(number)
    if length := phonenumbers.length_of_geographical_area_code(number):
        token = phonenumbers.country_mobile_token(calling_code)
        is_mobile = phonenumbers.number_type(number) == PhoneNumberType.MOBILE
        return digits[len(token) if is_mobile and digits.startswith(token) else 0 : length]
    if phonenumbers.number_type(number) not in _FIXED:
        return ""
    code = digits[: phonenumbers.length_of_national_destination_code(number)]
    return code if code and listed(calling_code, code) else ""


def _known(number: PhoneNumber) -> Place:
    """What number and table say without help."""
    parsed = phonenumbers.parse(number.e164, None)
    digits = phonenumbers.national_significant_number(parsed)
    country = phonenumbers.region_code_for_number(parsed) or ""
    plain = Place(number.type, number.calling_code, country, "", "", "", None, None)
    if number.type is not NumberType.LOCAL:
        # Where a whole calling code is one service (+800), libphonenumber only groups the digits.
        is_national = country != phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
        length = phonenumbers.length_of_national_destination_code(parsed) if is_national else 0
        return replace(plain, area_code=digits[:length])
    if number.calling_code != NANP:
        regions = table().regions
        code = area_code_of(parsed, listed=lambda *area: area in regions)
        return replace(plain, area_code=code, region=regions.get((number.calling_code, code), ""))
    code = digits[:_AREA_DIGITS]
    centre = table().centre_of(digits[:_PREFIX_DIGITS])
    area = table().area_codes.get(code)
    here = centre or area
    if here is None:
        return replace(plain, area_code=code)
    place = replace(
        plain, country=here.country, area_code=code, region=here.region, rate_centre=here.name
    )
    return _at(place, here.position or (area.position if area is not None else None))


def _position_of_centre(place: Place, name: str) -> tuple[float, float] | None:
    """The position of a centre of that name in the place's region, else of the area code."""
    if place.calling_code != NANP:
        return None
    area = table().area_codes.get(place.area_code)
    middle = area.position if area is not None and area.region == place.region else None
    centre = table().named.get((place.country, place.region, name))
    return (centre.position if centre is not None else None) or middle


def _region(name: str, calling_code: int) -> str:
    """A region as it is compared: codes of the NANP in capitals, names as the table writes them."""
    return normalised(name) if calling_code == NANP else " ".join(name.split())


def _at(place: Place, position: tuple[float, float] | None) -> Place:
    if position is None:
        return replace(place, latitude=None, longitude=None)
    # Adding zero turns -0.0 into 0.0: their texts differ, the places do not.
    latitude, longitude = (round(degrees, _DECIMALS) + 0.0 for degrees in position)
    return replace(place, latitude=latitude, longitude=longitude)
