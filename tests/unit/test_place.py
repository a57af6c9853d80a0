"""Where numbers belong: real prefixes, what is given wins, and the names of shelves."""

import gzip
from dataclasses import astuple, replace
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dni_allocator.domain.geodata import table as geodata
from dni_allocator.domain.number import NumberType, parse_number
from dni_allocator.domain.place import Place, place_of, shelf_name

PHOENIX = parse_number("+16022001234", country="US")

places = st.builds(
    Place,
    type=st.sampled_from(NumberType),
    calling_code=st.sampled_from([1, 44, 49]),
    country=st.sampled_from(["", "US", "GB"]),
    area_code=st.text(st.characters(categories=["Nd"]), max_size=4),
    region=st.text(max_size=8),
    rate_centre=st.text(max_size=8),
    latitude=st.none() | st.integers(-9_000, 9_000).map(lambda hundredths: hundredths / 100),
    longitude=st.none() | st.integers(-18_000, 18_000).map(lambda hundredths: hundredths / 100),
)


@pytest.mark.parametrize(
    ("e164", "country", "area_code", "region", "rate_centre", "position"),
    [
        ("+16022001234", "US", "602", "AZ", "PHOENIX", (33.45, -112.07)),
        ("+15202071234", "US", "520", "AZ", "TUCSON", (32.22, -110.93)),
        ("+12122341234", "US", "212", "NY", "NEW YORK", (40.71, -74.01)),
        ("+13123211234", "US", "312", "IL", "CHICAGO", (41.85, -87.65)),
        ("+18162141234", "US", "816", "MO", "KANSAS CITY", (39.10, -94.58)),
        ("+19132331234", "US", "913", "KS", "KANSAS CITY", (39.11, -94.63)),
        ("+12024561111", "US", "202", "DC", "WASHINGTON", (38.90, -77.04)),
        ("+14162031234", "CA", "416", "ON", "TORONTO", (43.71, -79.40)),
        ("+17875551234", "PR", "787", "PR", "", None),
        ("+442071838750", "GB", "20", "London", "", None),
        ("+441614960000", "GB", "161", "Manchester", "", None),
        ("+4930123456", "DE", "30", "Berlin", "", None),
        ("+34911234567", "ES", "911", "Madrid", "", None),
        ("+551132345678", "BR", "11", "São Paulo", "", None),
        ("+541123456789", "AR", "11", "", "", None),
        ("+5491123456789", "AR", "11", "", "", None),
    ],
)
def test_a_number_is_placed_by_its_digits(
    e164: str, country: str, area_code: str, *, region: str, rate_centre: str,
    position: tuple[float, float] | None,
) -> None:  # fmt: skip
    """Town and state of a prefix in the NANP, area code and region elsewhere."""
    place = place_of(parse_number(e164, country="US"))

    assert (place.country, place.area_code, place.region) == (country, area_code, region)
    assert (place.rate_centre, place.position) == (rate_centre, position)
    assert place.type is NumberType.LOCAL


@pytest.mark.parametrize(
    ("e164", "kind", "area_code"),
    [
        ("+18005551234", NumberType.TOLL_FREE, "800"),
        ("+18885551234", NumberType.TOLL_FREE, "888"),
        ("+448001111111", NumberType.TOLL_FREE, "800"),
        ("+80012345678", NumberType.TOLL_FREE, ""),
        ("+19002345678", NumberType.OTHER, "900"),
    ],
)
def test_special_numbers_have_a_prefix_and_no_place(
    e164: str, kind: NumberType, area_code: str
) -> None:
    """An 8XX number is answered anywhere; its prefix is all that callers see."""
    place = place_of(parse_number(e164, country="US"))

    assert (place.type, place.area_code) == (kind, area_code)
    assert (place.region, place.rate_centre, place.position) == ("", "", None)


@pytest.mark.parametrize("e164", ["+447400123456", "+4915112345678", "+85223456789", "+6561234567"])
def test_numbers_that_belong_to_no_area_share_one_place(e164: str) -> None:
    """Mobile numbers, and all of a country without area codes, are interchangeable."""
    place = place_of(parse_number(e164, country="US"))

    assert (place.area_code, place.region, place.rate_centre) == ("", "", "")


def test_a_prefix_that_is_not_in_the_table_is_placed_by_its_area_code() -> None:
    """The state is sure, the middle of the area code is near enough to compare distances by."""
    overlay = place_of(parse_number("+19172341234", country="US"))

    assert (overlay.region, overlay.rate_centre) == ("NY", "")
    assert overlay.position == pytest.approx((40.71, -73.93), abs=0.1)


def test_an_area_code_in_several_provinces_has_no_region() -> None:
    """867 is the whole Canadian north: which territory, the area code does not say."""
    place = place_of(parse_number("+18672341234", country="CA"))

    assert (place.area_code, place.region) == ("867", "")


def test_montserrat_is_not_mississippi() -> None:
    """Both are abbreviated MS."""
    place = place_of(parse_number("+16644912345", country="US"))

    assert (place.country, place.region) == ("MS", "MS")
    assert place_of(parse_number("+16013521234", country="US")).country == "US"


def test_what_is_given_wins_over_the_table() -> None:
    """The vendor knows the rate centre of the number it sells; the table has a town."""
    place = place_of(
        PHOENIX, rate_centre=" west  phoenix ", region="az", latitude=33.504, longitude=-112.183
    )

    assert astuple(place)[4:] == ("AZ", "WEST PHOENIX", 33.50, -112.18)


def test_a_given_centre_takes_the_position_the_table_has_for_it() -> None:
    """Not that of the town the table has for the prefix."""
    place = place_of(PHOENIX, rate_centre="tucson")

    assert (place.rate_centre, place.position) == ("TUCSON", (32.22, -110.93))


def test_a_given_centre_nobody_knows_lies_in_the_middle_of_its_area_code() -> None:
    """Names of rate centres are often abbreviated, and a centre never leaves its area code."""
    place = place_of(PHOENIX, rate_centre="PHNX MAIN")

    assert place.rate_centre == "PHNX MAIN"
    assert place.position == pytest.approx((33.45, -112.08), abs=0.1)


def test_a_given_region_that_differs_discards_the_town() -> None:
    """A town of the wrong state would be a wrong distance."""
    place = place_of(PHOENIX, region="NV")

    assert (place.region, place.rate_centre, place.position) == ("NV", "", None)


def test_a_given_region_that_agrees_changes_nothing() -> None:
    """However it is written."""
    assert place_of(PHOENIX, region=" az") == place_of(PHOENIX)


def test_the_middle_of_an_area_code_is_no_position_in_another_region() -> None:
    """What is known of Arizona says nothing about a centre that is said to be in Nevada."""
    assert place_of(PHOENIX, region="NV", rate_centre="SOMEWHERE").position is None


@pytest.mark.parametrize(("latitude", "longitude"), [(40.0, None), (None, -70.0)])
def test_half_a_position_is_none(latitude: float | None, longitude: float | None) -> None:
    """One degree says nothing."""
    assert place_of(PHOENIX, latitude=latitude, longitude=longitude) == place_of(PHOENIX)


def test_noise_in_a_position_does_not_split_a_shelf() -> None:
    """Two decimals are about a kilometre; and there is no minus zero."""
    one = place_of(PHOENIX, latitude=0.0012, longitude=-112.0741)
    other = place_of(PHOENIX, latitude=-0.0031, longitude=-112.0699)

    assert one.as_text() == other.as_text()


def test_names_of_shelves_do_not_change() -> None:
    """They are stored in Redis: a release that names a shelf anew would lose the old one."""
    place = Place(NumberType.LOCAL, 1, "US", "602", "AZ", "PHOENIX", 33.45, -112.07)

    assert place.as_text() == (
        '{"area_code":"602","calling_code":1,"country":"US","latitude":33.45,"longitude":-112.07,'
        '"rate_centre":"PHOENIX","region":"AZ","type":"local"}'
    )
    assert shelf_name(place) == "1eb20e9189"


@settings(deadline=None)
@given(places)
def test_a_place_survives_being_stored(place: Place) -> None:
    """The text is all that is kept of a shelf's place."""
    assert Place.from_text(place.as_text()) == place


@settings(deadline=None)
@given(places, places)
def test_shelves_have_one_name_if_and_only_if_their_places_are_equal(
    one: Place, other: Place
) -> None:
    """Letters and digits only, since names are joined by "," and "|"."""
    assert (shelf_name(one) == shelf_name(other)) == (one == other)
    assert shelf_name(one) == shelf_name(replace(one))
    assert shelf_name(one).isalnum()


def test_the_packaged_table_is_whole() -> None:
    """Sorted, on this earth, each prefix in a known area code; small enough to carry."""
    table = geodata.table()

    assert len(table.prefixes) == len(table.centre_at) > 30_000
    assert all(one < other for one, other in zip(table.prefixes, table.prefixes[1:], strict=False))
    assert {str(prefix)[:3] for prefix in table.prefixes} <= table.area_codes.keys()
    assert all(-90 <= lat <= 90 for *_, lat, _ in table.centres if lat is not None)
    assert all(-180 <= lon <= 180 for *_, lon in table.centres if lon is not None)
    assert len(files(geodata.__package__).joinpath(geodata.FILE).read_bytes()) < 256_000


def test_no_prefix_lies_in_another_state_than_its_area_code() -> None:
    """Else a number of New Jersey could stand for one of New York."""
    table = geodata.table()

    strays = [
        prefix
        for prefix, index in zip(table.prefixes, table.centre_at, strict=True)
        if table.area_codes[str(prefix)[:3]].region not in {"", table.centres[index].region}
    ]
    assert strays == []


def test_the_table_names_its_sources() -> None:
    """CC BY asks for it, wherever the table goes."""
    packed = files(geodata.__package__).joinpath(geodata.FILE).read_bytes()
    head = gzip.decompress(packed).decode()[:400]

    assert "libphonenumber, Apache-2.0" in head
    assert "GeoNames" in head
    assert "CC BY 4.0" in head


def test_the_reader_takes_runs_of_exchanges_and_leaves_comments() -> None:
    """The form in which the table is written, in small."""
    table = geodata.read(
        "# a comment\n"
        "centre\tUS\tAZ\tPHOENIX\t33.45\t-112.07\t602200,224-226 480460\n"
        "centre\tUS\tAZ\tNOWHERE\t\t\t602300\n"
        "area\t602\tUS\tAZ\t\t33.45\t-112.08\n"
        "abroad\t49\tBerlin\t30\n"
        "abroad\t39\tGenoa\t010,0185-0187\n"
    )

    assert list(table.prefixes) == [480460, 602200, 602224, 602225, 602226, 602300]
    assert table.centre_of("602225") == ("US", "AZ", "PHOENIX", 33.45, -112.07)
    assert table.centre_of("602300") == ("US", "AZ", "NOWHERE", None, None)
    assert table.centre_of("602227") is None
    assert table.centre_of("999999") is None
    assert table.area_codes["602"].position == (33.45, -112.08)
    assert table.regions[49, "30"] == "Berlin"
    assert [code for _, code in table.regions] == ["30", "010", "0185", "0186", "0187"]
