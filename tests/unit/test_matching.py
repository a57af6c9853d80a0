"""The order in which shelves are tried: real area codes and rate centres, and what always holds."""

from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from dni_allocator.domain.matching import (
    Match,
    MatchFallback,
    Rank,
    Tier,
    as_text,
    great_circle_km,
    shelf_order,
)
from dni_allocator.domain.number import NumberType, parse_number
from dni_allocator.domain.place import Place, place_of

# One number of each place, by the name the tables below give it.
NUMBERS = {
    "phoenix 602": "+16022001234", "phoenix 480": "+14804601234", "phoenix 623": "+16232451234",
    "scottsdale 480": "+14803011234", "mesa 480": "+14802181234", "tucson 520": "+15202071234",
    "flagstaff 928": "+19282131234", "yuma 928": "+19283141234",
    "new york 212": "+12122341234", "new york 646": "+16462371234", "new york 332": "+13322341234",
    "city 917": "+19172341234", "brooklyn 718": "+17182091234", "yonkers 914": "+19142071234",
    "buffalo 716": "+17163321234", "newark 973": "+19736221234",
    "los angeles 213": "+12132341234", "los angeles 323": "+13232421234",
    "los angeles 310": "+13102011234", "santa monica 310": "+13102551234",
    "san diego 619": "+16192091234",
    "chicago 312": "+13123211234", "chicago 773": "+17733211234", "chicago 872": "+18723211234",
    "springfield 217": "+12172411234", "rockford 815": "+18152261234",
    "kansas city 816": "+18162141234", "independence 816": "+18162521234",
    "st. louis 314": "+13142261234", "kansas city 913": "+19132331234",
    "overland park 913": "+19132391234", "wichita 316": "+13162011234",
    "toronto 416": "+14162031234", "city 647": "+16472341234", "toronto 437": "+14372341234",
    "mississauga 905": "+19052061234", "ottawa 613": "+16132161234", "montreal 514": "+15142231234",
    "north 867": "+18672341234", "maritimes 902": "+19022341234",
    "free 800": "+18005551234", "free 888": "+18885551234",
    "free 877": "+18775551234", "premium 900": "+19002345678",
    "san juan 787": "+17872341234", "puerto rico 939": "+19392341234",
    "london 20": "+442071838750", "london 20 b": "+442079460000", "manchester 161": "+441614960000",
    "mobile gb": "+447400123456", "mobile guernsey": "+447781123456", "free gb": "+448001111111",
    "berlin 30": "+4930123456", "munich 89": "+498912345678", "mobile de": "+4915112345678",
    "madrid 911": "+34911234567", "madrid 912": "+34912345678", "barcelona 931": "+34931234567",
    "campinas 19": "+551932345678", "sao paulo 11": "+551132345678", "rio 21": "+552132345678",
}  # fmt: skip


def place(name: str) -> Place:
    """The place of one of the numbers above."""
    return place_of(parse_number(NUMBERS[name], country="US"))


def arizona(rate_centre: str, latitude: float | None, *, area_code: str = "928") -> Place:
    """A made-up place on one meridian, or at an unknown position."""
    longitude = None if latitude is None else -112.0
    return Place(
        NumberType.LOCAL, 1, "US", area_code, "AZ", rate_centre, latitude, longitude
    )  # fmt: skip


def order(
    destination: str,
    *names: str,
    match: Match = Match.AREA,
    fallback: MatchFallback = MatchFallback.OVERFLOW,
) -> tuple[Rank, ...]:
    """The order of shelves, each called by the number that lies on it."""
    shelves = {name: place(name) for name in names or NUMBERS}
    return shelf_order(place(destination), shelves, match=match, fallback=fallback)


def table(ranks: tuple[Rank, ...]) -> list[tuple[str, str]]:
    """Ranks as the tables of this module write them."""
    return [(rank.tier.value, "|".join(rank.shelves)) for rank in ranks]


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("phoenix 602", [
            ("area_code", "phoenix 602"),
            ("rate_centre", "phoenix 480|phoenix 623"),
            ("nearest", "scottsdale 480"),
            ("nearest", "mesa 480"),
            ("nearest", "tucson 520"),
            ("nearest", "flagstaff 928"),
            ("nearest", "yuma 928"),
        ]),
        ("scottsdale 480", [
            ("area_code", "mesa 480|phoenix 480|scottsdale 480"),
            ("nearest", "phoenix 602|phoenix 623"),
            ("nearest", "tucson 520"),
            ("nearest", "flagstaff 928"),
            ("nearest", "yuma 928"),
        ]),
        ("tucson 520", [
            ("area_code", "tucson 520"),
            ("nearest", "mesa 480"),
            ("nearest", "scottsdale 480"),
            ("nearest", "phoenix 480|phoenix 602|phoenix 623"),
            ("nearest", "flagstaff 928"),
            ("nearest", "yuma 928"),
        ]),
        ("new york 212", [
            ("area_code", "new york 212"),
            ("rate_centre", "new york 332|new york 646"),
            ("nearest", "city 917"),
            ("nearest", "brooklyn 718"),
            ("nearest", "yonkers 914"),
            ("nearest", "buffalo 716"),
        ]),
        ("city 917", [
            ("area_code", "city 917"),
            ("nearest", "new york 212|new york 332|new york 646"),
            ("nearest", "brooklyn 718"),
            ("nearest", "yonkers 914"),
            ("nearest", "buffalo 716"),
        ]),
        ("los angeles 213", [
            ("area_code", "los angeles 213"),
            ("rate_centre", "los angeles 310|los angeles 323"),
            ("nearest", "santa monica 310"),
            ("nearest", "san diego 619"),
        ]),
        ("chicago 312", [
            ("area_code", "chicago 312"),
            ("rate_centre", "chicago 773|chicago 872"),
            ("nearest", "rockford 815"),
            ("nearest", "springfield 217"),
        ]),
        # The state line: 913 begins four kilometres away, and is another state.
        ("kansas city 816", [
            ("area_code", "independence 816|kansas city 816"),
            ("nearest", "st. louis 314"),
        ]),
        ("kansas city 913", [
            ("area_code", "kansas city 913|overland park 913"),
            ("nearest", "wichita 316"),
        ]),
        ("toronto 416", [
            ("area_code", "toronto 416"),
            ("rate_centre", "toronto 437"),
            ("nearest", "city 647"),
            ("nearest", "mississauga 905"),
            ("nearest", "ottawa 613"),
        ]),
        ("montreal 514", [("area_code", "montreal 514")]),
        # The region is not known, so nothing but the area code is sure.
        ("north 867", [("area_code", "north 867")]),
        ("san juan 787", [("area_code", "san juan 787"), ("region", "puerto rico 939")]),
        ("free 888", [("same_prefix", "free 888"), ("same_type", "free 800|free 877")]),
        ("premium 900", [("same_prefix", "premium 900")]),
        ("free gb", [("same_prefix", "free gb")]),
        ("london 20", [
            ("area_code", "london 20|london 20 b"),
            ("country", "manchester 161|mobile gb"),
        ]),
        ("manchester 161", [
            ("area_code", "manchester 161"),
            ("country", "london 20|london 20 b|mobile gb"),
        ]),
        ("mobile gb", [
            ("area_code", "mobile gb"),
            ("country", "london 20|london 20 b|manchester 161"),
        ]),
        ("berlin 30", [("area_code", "berlin 30"), ("country", "mobile de|munich 89")]),
        ("madrid 911", [
            ("area_code", "madrid 911"),
            ("region", "madrid 912"),
            ("country", "barcelona 931"),
        ]),
        ("campinas 19", [
            ("area_code", "campinas 19"),
            ("region", "sao paulo 11"),
            ("country", "rio 21"),
        ]),
    ],
)  # fmt: skip
def test_the_whole_stock_in_the_order_of_a_destination(
    destination: str, expected: list[tuple[str, str]]
) -> None:
    """One pool with all the numbers above: these are tried for a destination, and no others."""
    assert table(order(destination)) == expected


def test_distances_are_told() -> None:
    """From Phoenix: next door, and the other end of Arizona."""
    ranks = order("phoenix 602", "scottsdale 480", "tucson 520", "phoenix 623")

    assert [rank.distance_km for rank in ranks] == [None, pytest.approx(17, abs=2),
                                                    pytest.approx(173, abs=3)]  # fmt: skip


def test_the_state_line_holds_even_when_the_state_has_nothing() -> None:
    """Kansas City, Kansas, is 4 km from Kansas City, Missouri, and is not given for it."""
    assert order("kansas city 816", "kansas city 913", "free 800") == ()


@pytest.mark.parametrize("fallback", [MatchFallback.OVERFLOW, MatchFallback.ORIGINAL])
def test_without_the_policy_any_nothing_foreign_is_given(fallback: MatchFallback) -> None:
    """A local number never stands for a toll-free one unless the operator says so."""
    assert order("free 800", "phoenix 602", "free gb", fallback=fallback) == ()


def test_with_the_policy_any_all_other_shelves_follow_as_one() -> None:
    """Any number is better than none, says this pool; nearness counts no more."""
    ranks = order(
        "kansas city 816", "kansas city 913", "free 800", "st. louis 314", "london 20",
        fallback=MatchFallback.ANY,
    )  # fmt: skip

    assert table(ranks) == [
        ("nearest", "st. louis 314"),
        ("any", "free 800|kansas city 913|london 20"),
    ]


def test_matching_off_makes_one_rank_of_everything() -> None:
    """All numbers of the pool are interchangeable, whatever the policy."""
    ranks = order("free 800", "phoenix 602", "free 888", match=Match.NONE)

    assert table(ranks) == [("any", "free 888|phoenix 602")]


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("free 800", "free 877|free 888"),
        ("phoenix 602", "toronto 416|tucson 520"),
        ("london 20", "manchester 161"),
        ("premium 900", None),
    ],
)
def test_matching_by_type_ignores_the_area(destination: str, expected: str | None) -> None:
    """Toll-free for toll-free, local for local, of the same calling code."""
    ranks = order(
        destination, "free 877", "free 888", "tucson 520", "toronto 416", "manchester 161",
        "free gb", match=Match.TYPE,
    )  # fmt: skip

    assert table(ranks) == ([("same_type", expected)] if expected else [])


def test_special_numbers_only_stand_for_their_own_prefix() -> None:
    """What a call costs depends on it; that holds for matching by type too."""
    ranks = order("premium 900", "premium 900", "phoenix 602", match=Match.TYPE)

    assert table(ranks) == [("same_prefix", "premium 900")]


def test_shelves_of_one_centre_stay_together_at_the_nearest_of_their_positions() -> None:
    """One without a position goes where its centre is; one without a centre stands for itself."""
    shelves = {
        "a": arizona("TUCSON", 32.0),
        "b": arizona("MESA", 32.5),
        "c": arizona("TUCSON", 32.9),
        "d": arizona("TUCSON", None),
        "e": arizona("", 32.2),
        "f": arizona("", 32.7),
    }

    ranks = shelf_order(
        arizona("PHOENIX", 33.0, area_code="602"), shelves,
        match=Match.AREA, fallback=MatchFallback.OVERFLOW,
    )  # fmt: skip

    assert table(ranks) == [
        ("nearest", "a|c|d"), ("nearest", "f"), ("nearest", "b"), ("nearest", "e"),
    ]  # fmt: skip


def test_special_numbers_of_another_country_do_not_fit() -> None:
    """One calling code may be of several countries, each with its own prices."""
    premium = place("premium 900")
    canadian = replace(premium, country="CA")

    ranks = shelf_order(premium, {"a": canadian}, match=Match.AREA, fallback=MatchFallback.OVERFLOW)

    assert ranks == ()


def test_unknown_distances_come_last() -> None:
    """A centre whose position nobody knows is still in the state."""
    shelves = {"a": arizona("NOWHERE", None), "b": arizona("YUMA", 32.0), "c": arizona("", None)}

    ranks = shelf_order(
        arizona("PHOENIX", 33.0, area_code="602"), shelves,
        match=Match.AREA, fallback=MatchFallback.OVERFLOW,
    )  # fmt: skip

    assert table(ranks) == [("nearest", "b"), ("region", "a|c")]


def test_equal_distances_are_ordered_by_name() -> None:
    """So that every process tries the same one first."""
    destination = Place(NumberType.LOCAL, 1, "US", "602", "AZ", "", 33.0, -112.0)
    east = Place(NumberType.LOCAL, 1, "US", "480", "AZ", "EAST", 33.0, -111.0)
    west = Place(NumberType.LOCAL, 1, "US", "928", "AZ", "WEST", 33.0, -113.0)

    ranks = shelf_order(
        destination, {"1": west, "2": east}, match=Match.AREA, fallback=MatchFallback.OVERFLOW
    )

    assert table(ranks) == [("nearest", "2"), ("nearest", "1")]


def test_a_destination_without_a_position_knows_no_nearest() -> None:
    """Then every number of the state fits equally well."""
    destination = Place(NumberType.LOCAL, 1, "US", "602", "AZ", "", None, None)
    shelves = {name: place(name) for name in ("tucson 520", "flagstaff 928")}

    ranks = shelf_order(destination, shelves, match=Match.AREA, fallback=MatchFallback.OVERFLOW)

    assert table(ranks) == [("region", "flagstaff 928|tucson 520")]


def test_the_text_for_the_scripts() -> None:
    """Ranks by comma, shelves of one rank by bar."""
    ranks = (Rank(Tier.AREA_CODE, ("a1",)), Rank(Tier.NEAREST, ("b2", "c3"), 3.0))

    assert as_text(ranks) == "a1,b2|c3"
    assert as_text(()) == ""


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((40.71, -74.01), (34.05, -118.24), 3936),
        ((0.0, 0.0), (0.0, 180.0), 20_015),
        ((51.5, -0.12), (51.5, -0.12), 0),
    ],
)
def test_great_circles(one: tuple[float, float], other: tuple[float, float], km: int) -> None:
    """New York to Los Angeles; half way round the earth; nowhere."""
    assert great_circle_km(one, other) == pytest.approx(km, abs=1)
    assert great_circle_km(other, one) == pytest.approx(great_circle_km(one, other))


# No deadlines below: the first example reads the packaged table, and nothing here is timed.
names = st.sampled_from(sorted(NUMBERS))
stocks = st.lists(names, unique=True, max_size=20)
policies = st.sampled_from(MatchFallback)
matches = st.sampled_from(Match)


@settings(deadline=None)
@given(names, stocks, matches, policies)
def test_no_shelf_is_in_two_ranks_and_no_rank_is_empty(
    destination: str, stock: list[str], match: Match, fallback: MatchFallback
) -> None:
    """Trying one twice would be work for nothing; with `any` each is tried exactly once."""
    shelves = {name: place(name) for name in stock}

    ranks = shelf_order(place(destination), shelves, match=match, fallback=fallback)

    listed = [name for rank in ranks for name in rank.shelves]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(stock)
    assert all(rank.shelves for rank in ranks)
    if MatchFallback.ANY is fallback or match is Match.NONE:
        assert set(listed) == set(stock)


@settings(deadline=None)
@given(names, stocks, matches, policies, st.randoms(use_true_random=False))
def test_the_order_of_the_stock_means_nothing(
    destination: str, stock: list[str], match: Match, fallback: MatchFallback, random: Random
) -> None:
    """Two processes that read the shelves in another order agree."""
    shuffled = random.sample(stock, len(stock))

    first, second = (
        shelf_order(
            place(destination), {name: place(name) for name in given_order},
            match=match, fallback=fallback,
        )
        for given_order in (stock, shuffled)
    )  # fmt: skip

    assert first == second


@settings(deadline=None)
@given(names, stocks, matches, policies)
def test_better_tiers_come_first_and_nearer_before_farther(
    destination: str, stock: list[str], match: Match, fallback: MatchFallback
) -> None:
    """`Tier` lists them best first; only distances repeat a tier."""
    shelves = {name: place(name) for name in stock}

    ranks = shelf_order(place(destination), shelves, match=match, fallback=fallback)

    best_first = list(Tier)
    steps = [(best_first.index(rank.tier), rank.distance_km or 0.0) for rank in ranks]
    assert steps == sorted(steps)
    tiers = [rank.tier for rank in ranks if rank.tier is not Tier.NEAREST]
    assert len(tiers) == len(set(tiers))


@settings(deadline=None)
@given(names, stocks)
def test_type_calling_code_and_state_hold_unless_any_is_the_policy(
    destination: str, stock: list[str]
) -> None:
    """What a visitor sees costs the same to dial, and in the NANP stays in the state."""
    wanted = place(destination)
    shelves = {name: place(name) for name in stock}

    ranks = shelf_order(wanted, shelves, match=Match.AREA, fallback=MatchFallback.OVERFLOW)

    for rank in ranks:
        for name in rank.shelves:
            found = shelves[name]
            assert (found.type, found.calling_code) == (wanted.type, wanted.calling_code)
            if wanted.type is NumberType.LOCAL and wanted.calling_code == 1:
                assert (found.country, found.region) == (wanted.country, wanted.region)
