"""Pure rules, told whatever: places, shelves, sources of visits, conditions, settings."""

import math
import os
from contextlib import suppress
from itertools import pairwise
from typing import Final
from unittest import mock

import hypothesis.strategies as st
from hypothesis import example, given
from pydantic import ValidationError

from dni_allocator.api.caller import TrustedProxies, address_of, caller_of, declared_length
from dni_allocator.domain.conditions import Condition, Operator, Visit, all_hold, problem_of
from dni_allocator.domain.errors import ConfigurationError, InvalidNumber
from dni_allocator.domain.matching import Match, MatchFallback, Tier, as_text, shelf_order
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.place import Place, place_of, shelf_name
from dni_allocator.domain.recognition import CLICK_ID_PARAMETERS, recognise
from dni_allocator.settings import Settings, variable_of
from dni_allocator.store.connection import Connection
from dni_allocator.webhooks.guard import parse_networks
from tests.support.fuzzing import FUZZ, TEXT, Count

SIGNED: Final = st.floats(-1e3, 1e3) | st.sampled_from([math.nan, math.inf, -0.0, 90.0, -180.0])
NUMBERS: Final = st.one_of(
    st.from_regex(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True),
    st.sampled_from(["+18005550100", "+18885550100", "+442079460123", "+493022610123",
                     "+5491112345678", "+80012345678", "+34912345678", "+19005550100"]),
)  # fmt: skip


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Where some number belongs, with what an operator told of it."""
    text = draw(NUMBERS)
    try:
        number = parse_number(text, country="US")
    except InvalidNumber:
        number = parse_number("+16025550100", country="US")
    return place_of(
        number,
        rate_centre=draw(st.none() | TEXT | st.sampled_from(["PHOENIX", "mesa", "  "])),
        region=draw(st.none() | TEXT | st.sampled_from(["AZ", "ny", ""])),
        latitude=draw(st.none() | st.floats(-90, 90)),
        longitude=draw(st.none() | st.floats(-180, 180)),
    )


@FUZZ
@given(
    destination=places(),
    there=st.lists(places(), max_size=6),
    match=st.sampled_from(Match),
    fallback=st.sampled_from(MatchFallback),
)
def test_every_shelf_is_in_one_rank_at_most(
    count: Count,
    destination: Place,
    there: list[Place],
    match: Match,
    fallback: MatchFallback,
) -> None:
    """Whatever the places: a total order, the same each time, readable by the scripts."""
    shelves = {shelf_name(place): place for place in there}

    order = shelf_order(destination, shelves, match=match, fallback=fallback)

    count("orders of shelves")
    named = [name for rank in order for name in rank.shelves]
    assert len(named) == len(set(named))
    assert set(named) <= shelves.keys()
    assert order == shelf_order(
        destination, dict(reversed(shelves.items())), match=match, fallback=fallback
    )
    if match is Match.NONE or fallback is MatchFallback.ANY:
        assert set(named) == shelves.keys()
    near = [rank.distance_km for rank in order if rank.tier is Tier.NEAREST]
    assert all(
        one is not None and other is not None and one <= other for one, other in pairwise(near)
    )
    assert sorted(as_text(order).replace("|", ",").split(",")) == sorted(named or [""])
    assert all(Place.from_text(place.as_text()) == place for place in there)


PARAMETER: Final = st.sampled_from(
    ["utm_source", "utm_medium", "utm_campaign", "referrer", "landing_page", "_fbp", "_ga",
     *CLICK_ID_PARAMETERS]
)  # fmt: skip
LINK: Final = st.tuples(
    st.sampled_from(
        ["https://", "http://", "//", "", "https://[", "https://www.google.", "ftp://"]
    ),
    TEXT,
    st.sampled_from(["", "?", "?gclid=", "?utm_source=google&utm_medium=", "#", "/amp/s/"]),
    TEXT,
).map("".join)


@FUZZ
@given(
    fields=st.dictionaries(PARAMETER, TEXT | LINK, max_size=5),
    url=st.none() | LINK,
    referrer=st.none() | LINK,
)
@example(fields={}, url="https://[", referrer="https://[::1")
def test_every_visit_has_a_source(
    count: Count, fields: dict[str, str], url: str | None, referrer: str | None
) -> None:
    """What a page reports is not to be trusted: it is recognised or direct, never an error."""
    source = recognise(fields, url, referrer)

    count("visits whose source is recognised")
    assert source.name
    assert len(source.name) <= 100
    assert source == recognise(fields, url, referrer)


@FUZZ
@given(
    field=st.sampled_from(["url", "referrer", "host", "path", "field:x", "click_id", "param:q"])
    | TEXT,
    operator=st.sampled_from(Operator),
    values=st.lists(TEXT, max_size=4),
    url=st.none() | LINK,
    told=TEXT,
)
def test_no_condition_breaks_on_a_visit(  # noqa: PLR0917 -- Hypothesis passes by name
    count: Count, field: str, operator: Operator, values: list[str], url: str | None, told: str
) -> None:
    """Conditions that are taken hold or do not hold for any visit."""
    condition = Condition(field, operator, tuple(values))
    visit = Visit(url=url, referrer=url, fields={"x": told, field: told})

    count("conditions on visits")
    if problem_of(condition) is None:
        assert all_hold([condition], visit) in {True, False}


@FUZZ
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"x-forwarded-for", b"user-agent", b"origin", b"sec-purpose",
                             b"purpose", b"content-length", b"referer"]),
            st.binary(max_size=120)
            | st.ip_addresses().map(lambda ip: str(ip).encode())
            | st.just(b"1.2.3.4, " * 60),
        ),
        max_size=6,
    ),
    trusted=st.sampled_from(["*", "127.0.0.1,::1", "0.0.0.0/0", "::/0"]),
)  # fmt: skip
def test_no_header_of_a_page_breaks_the_edge(
    count: Count, headers: list[tuple[bytes, bytes]], trusted: str
) -> None:
    """Who calls is read from any bytes; a network is one, or unknown."""
    proxies = TrustedProxies.parse(trusted)

    caller = caller_of(headers, ("127.0.0.1", 1), proxies)

    count("headers of pages")
    network = caller.network()
    assert network == "" or network.endswith(("/24", "/64"))
    assert network == address_of(("127.0.0.1", 1), caller.forwarded, proxies)
    assert declared_length(dict(headers)) >= 0


SCHEME: Final = st.sampled_from(
    ["redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://", "http://", ""]
)


@FUZZ
@given(address=st.tuples(SCHEME, TEXT | st.from_regex(r"[a-z]*:?[0-9]*/?[a-z0-9]*")).map("".join))
@example(address="redis+sentinel://a:1,b/")
@example(address="redis://[")
@example(address="redis://h:99999")
@example(address="redis://u:geheim@h:x/y")
def test_an_address_of_redis_is_taken_or_refused(count: Count, address: str) -> None:
    """Nothing else than our own error, which does not repeat a password."""
    said = ""
    try:
        Connection(address)
    except ConfigurationError as refused:
        said = str(refused)

    count("addresses of Redis")
    assert "geheim" not in said


NAMES: Final = st.sampled_from(sorted(Settings.model_fields.keys() - {"secrets_dir"}))


@FUZZ
@given(name=NAMES, value=TEXT.filter(lambda text: "\x00" not in text) | st.integers().map(str))
def test_a_setting_is_taken_or_refused(count: Count, name: str, value: str) -> None:
    """Pydantic's error, which the commands tell by the name of the variable."""
    found: set[int | str] = set()
    with mock.patch.dict(os.environ, {variable_of(name): value}):
        try:
            Settings()
        except ValidationError as refused:
            found = {each["loc"][0] for each in refused.errors()}

    count("settings")
    assert found <= {name, variable_of(name)}


@FUZZ
@given(text=TEXT | st.lists(st.ip_addresses().map(str), max_size=4).map(",".join))
def test_an_allow_list_is_taken_or_refused(count: Count, text: str) -> None:
    """A typing mistake in a list of subnets stops the start, whatever it is."""
    for read in (parse_networks, TrustedProxies.parse):
        with suppress(ConfigurationError):
            assert read(text) is not None
    count("lists of subnets")
