"""Reads the packaged table, once, when the first place is asked for.

Written by `scripts/build-geodata.py`. Reading takes about 0.14 s; 8 MB stay, 13 MB at
the peak. `phonenumbers.geocoder` would take 4.5 s and 184 MB.
"""

import gzip
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

FILE = "prefixes.tsv.gz"


class Centre(NamedTuple):
    """A rate centre of the NANP; without a name, an area code with its middle."""

    country: str
    region: str
    """State, province or country; "" of an area code that lies in several."""
    name: str
    latitude: float | None
    longitude: float | None

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, if known."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude


class Table(NamedTuple):
    """The table in memory. Prefixes are sorted arrays: a dictionary takes several times as much."""

    prefixes: "array[int]"
    """Area code and exchange, six digits, ascending."""
    centre_at: "array[int]"
    """Beside each prefix: its place in `centres`."""
    centres: list[Centre]
    named: dict[tuple[str, str, str], Centre]
    """Country, region and name -> centre."""
    area_codes: dict[str, Centre]
    regions: dict[tuple[int, str], str]
    """Outside the NANP: calling code and area code -> region."""

    def centre_of(self, prefix: str) -> Centre | None:
        """The rate centre of an area code and exchange (six digits)."""
        wanted = int(prefix)
        index = bisect_left(self.prefixes, wanted)
        if index == len(self.prefixes) or self.prefixes[index] != wanted:
            return None
        return self.centres[self.centre_at[index]]


@cache
def table() -> Table:
    """The packaged table."""
    packed = files(__package__).joinpath(FILE).read_bytes()
    return read(gzip.decompress(packed).decode())


def read(text: str) -> Table:
    """A table from its text: one line each, the first field says what kind.

    `centre`, country, region, name, latitude, longitude, prefixes; `area`, area code, country,
    region, name, latitude, longitude; `abroad`, calling code, region, area codes.
    """
    centres: list[Centre] = []
    area_codes: dict[str, Centre] = {}
    regions: dict[tuple[int, str], str] = {}
    pairs: list[tuple[int, int]] = []
    for line in text.splitlines():
        kind, *fields = line.split("\t")
        if kind == "centre":
            pairs.extend((prefix, len(centres)) for prefix in _prefixes(fields[5]))
            centres.append(_centre(*fields[:5]))
        elif kind == "area":
            area_codes[fields[0]] = _centre(*fields[1:])
        elif kind == "abroad":
            calling_code, region, codes = fields
            regions.update({(int(calling_code), code): region for code in _codes(codes)})
    pairs.sort()
    return Table(
        prefixes=array("I", (prefix for prefix, _ in pairs)),
        centre_at=array("H", (index for _, index in pairs)),
        centres=centres,
        named={centre[:3]: centre for centre in centres},
        area_codes=area_codes,
        regions=regions,
    )


def _centre(country: str, region: str, name: str, latitude: str, longitude: str) -> Centre:
    return Centre(
        country,
        region,
        name,
        float(latitude) if latitude else None,
        float(longitude) if longitude else None,
    )


def _prefixes(text: str) -> Iterator[int]:
    """The prefixes of `602224-226,230 480310`: by area code, runs of exchanges behind it."""
    for group in text.split():
        yield from (int(group[:3] + exchange) for exchange in _codes(group[3:]))


def _codes(text: str) -> Iterator[str]:
    """The codes of `224-226,230`: alone or first to last, which have as many digits."""
    for run in text.split(","):
        first, _, last = run.partition("-")
        if last:
            yield from (f"{code:0{len(first)}}" for code in range(int(first), int(last) + 1))
        else:
            yield first
