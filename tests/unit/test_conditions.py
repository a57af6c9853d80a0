"""Conditions on what a page tells of its visitor."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.conditions import (
    CLICK_IDS,
    LONGEST_VALUE,
    MOST_VALUES,
    Condition,
    Operator,
    Visit,
    all_hold,
    any_holds,
    problem_of,
)

PAGE = "https://Shop.Example:8443/caf%C3%A9/Menu?utm_source=google&GCLID=EAIa-1&q=a%20b&q=c&q=#top"
VISIT = Visit(
    url=PAGE,
    referrer="https://www.google.com/search?q=boiler",
    fields={"utm_medium": "CPC", "utm_campaign": "Summer Tune-Up", "plan": "Straße", "empty": ""},
)
NOTHING = Visit(url=None, referrer=None, fields={})
NEEDS_NONE = {Operator.PRESENT, Operator.ABSENT}


def holds(field: str, operator: Operator, *values: str, visit: Visit = VISIT) -> bool:
    """Whether one condition holds."""
    condition = Condition(field, operator, values)
    answer = all_hold((condition,), visit)
    assert any_holds((condition,), visit) is answer
    return answer


def test_a_paid_click_is_a_click_id_or_a_paid_medium() -> None:
    """What numbers are reserved for: any of several conditions."""
    paid = (
        Condition("click_id", Operator.PRESENT),
        Condition("utm_medium", Operator.EQUALS, ("cpc", "ppc", "paid_social")),
    )
    clicked = Visit(url="https://shop.example/?fbclid=IwAR", referrer=None, fields={})
    bought = Visit(url=None, referrer=None, fields={"utm_medium": "ppc"})

    assert any_holds(paid, clicked)
    assert any_holds(paid, bought)
    assert not any_holds(paid, NOTHING)
    assert not all_hold(paid, clicked)


def test_no_condition_asks_for_nothing() -> None:
    """A pool without conditions serves everybody, and reserves for nobody."""
    assert all_hold((), NOTHING)
    assert not any_holds((), VISIT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("utm_medium", "CPC"),  # captured
        ("utm_source", "google"),  # only in the URL
        ("gclid", "EAIa-1"),  # the tag reads names in lower case
        ("campaign", "Summer Tune-Up"),
        ("click_id", "EAIa-1"),
        ("url", PAGE),
        ("url.host", "shop.example"),
        ("url.path", "/café/Menu"),
        ("url.query.q", "c"),  # the last that is not empty
        ("url.query.Q", "c"),
        ("url.query.gclid", "EAIa-1"),
        ("referrer", "https://www.google.com/search?q=boiler"),
        ("referrer.host", "www.google.com"),
        ("plan", "STRASSE"),
    ],
)
def test_every_field_can_be_asked_for(field: str, value: str) -> None:
    """Captured fields by name, and the parts of the addresses."""
    assert holds(field, Operator.EQUALS, value)
    assert holds(field, Operator.EQUALS, "other", value.upper())
    assert not holds(field, Operator.NOT_EQUALS, "other", value)
    assert holds(field, Operator.PRESENT)
    assert not holds(field, Operator.EQUALS, value, visit=NOTHING)
    assert holds(field, Operator.ABSENT, visit=NOTHING)


@pytest.mark.parametrize("name", CLICK_IDS)
def test_each_click_id_is_one_captured_or_not(name: str) -> None:
    """The first page view may come before the tag has stored anything."""
    captured = Visit(url=None, referrer=None, fields={name: "x1"})
    arriving = Visit(url=f"https://shop.example/?a=b&{name}=x1", referrer=None, fields={})

    for visit in (captured, arriving):
        assert holds("click_id", Operator.EQUALS, "x1", visit=visit)
        assert holds(name, Operator.PRESENT, visit=visit)


def test_what_was_captured_wins_over_the_url() -> None:
    """The tag knows the touch; the URL only knows this page."""
    visit = Visit(
        url="https://shop.example/?utm_source=a&utm_campaign=b",
        referrer=None,
        fields={"utm_source": "captured", "utm_campaign": ""},
    )

    assert holds("utm_source", Operator.EQUALS, "captured", visit=visit)
    assert holds("campaign", Operator.EQUALS, "b", visit=visit)


def test_only_campaign_parameters_are_looked_for_in_the_url() -> None:
    """Anybody can append a parameter; `plan=gold` in a link does not make a customer one."""
    visit = Visit(
        url="https://shop.example/?plan=gold&first_utm_source=x", referrer=None, fields={}
    )

    assert holds("plan", Operator.ABSENT, visit=visit)
    assert holds("first_utm_source", Operator.ABSENT, visit=visit)
    assert holds("url.query.plan", Operator.EQUALS, "gold", visit=visit)


def test_a_campaign_may_be_a_field_of_the_page_itself() -> None:
    """A page with a data layer of its own has no `utm_campaign`."""
    visit = Visit(url=None, referrer=None, fields={"campaign": "spring"})

    assert holds("campaign", Operator.EQUALS, "spring", visit=visit)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Operator.CONTAINS, "MER T", True),
        (Operator.CONTAINS, "winter", False),
        (Operator.STARTS_WITH, "SUMMER", True),
        (Operator.STARTS_WITH, "tune", False),
        (Operator.ENDS_WITH, "tune-up", True),
        (Operator.ENDS_WITH, "summer", False),
        (Operator.EQUALS, "summer", False),
        (Operator.NOT_EQUALS, "summer", True),
        (Operator.NOT_EQUALS, "summer tune-up", False),
    ],
)
def test_operators_compare_without_regard_to_case(
    operator: Operator,
    value: str,
    expected: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """People type campaigns as they please."""
    assert holds("campaign", operator, value) is expected


@pytest.mark.parametrize("operator", [each for each in Operator if each not in NEEDS_NONE])
def test_what_is_not_known_equals_nothing(operator: Operator) -> None:
    """Only `not_equals` and `absent` hold for a field that is absent, or empty."""
    for field in ("unheard_of", "empty", "url.query.nothing"):
        assert holds(field, operator, "x") is (operator is Operator.NOT_EQUALS)
        assert holds(field, operator, "*") is (operator is Operator.NOT_EQUALS)
        assert holds(field, Operator.ABSENT)
        assert not holds(field, Operator.PRESENT)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "anything", True),
        ("/shop/*", "/shop/boilers", True),
        ("/shop/*", "/shop", False),
        ("*.example", "www.shop.example", True),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("ab*ba", "aba", False),  # the ends may not share a character
        ("a**b", "ab", True),
        ("*a*a*", "a", False),  # nor may two parts
        ("*b*b", "ab", False),
        ("plain", "plain", True),
        ("plain", "plainer", False),
        ("a?c", "abc", False),  # a question mark is a question mark
        ("a?c", "a?c", True),
        ("[ab]*", "a", False),
        ("*aab*aab*", "xaaabaabx", True),
    ],
)
def test_a_star_stands_for_anything(pattern: str, text: str, expected: bool) -> None:  # noqa: FBT001 -- a column of the table
    """And nothing but a star has a meaning of its own."""
    visit = Visit(url=None, referrer=None, fields={"x": text})

    assert holds("x", Operator.MATCHES, pattern, visit=visit) is expected


@given(st.text("ab*", max_size=8), st.text("ab", min_size=1, max_size=12))
def test_stars_match_what_a_regex_would(pattern: str, text: str) -> None:
    """The one pass finds whatever backtracking would find."""
    visit = Visit(url=None, referrer=None, fields={"x": text})
    regex = ".*".join(map(re.escape, pattern.split("*")))

    expected = re.fullmatch(regex, text) is not None
    assert holds("x", Operator.MATCHES, pattern, visit=visit) is expected


def test_a_pattern_made_to_be_slow_is_answered() -> None:
    """A backtracking matcher would not live to see the end of this one."""
    visit = Visit(url=None, referrer=None, fields={"x": "a" * 2048})

    assert not holds("x", Operator.MATCHES, "*a" * 250 + "*b", visit=visit)


@pytest.mark.parametrize(
    "url",
    ["http://[", "http://[::1", "//", "?gclid=x1", "http://a]b/?gclid=x1", "\x00", "x" * 4096,
     "https://shop.example:port/?gclid=%zz", "javascript:void(0)", "http://\u2100.example/"],
)  # fmt: skip
def test_a_malformed_address_is_no_error(url: str) -> None:
    """What a page reports is not ours to trust; and the click id in it still counts."""
    visit = Visit(url=url, referrer=url, fields={})

    for field in ("url.host", "url.path", "referrer.host", "url", "click_id"):
        assert holds(field, Operator.PRESENT, visit=visit) != holds(
            field, Operator.ABSENT, visit=visit
        )
    assert holds("gclid", Operator.PRESENT, visit=visit) is ("gclid=" in url)


def test_the_path_of_a_bare_host_is_the_root() -> None:
    """As browsers show it."""
    for url in ("https://shop.example", "https://shop.example?x=1"):
        assert holds("url.path", Operator.EQUALS, "/", visit=Visit(url, None, {}))


FIELDS = st.sampled_from(
    ["campaign", "click_id", "url", "url.host", "url.path", "url.query.a", "referrer.host", "plan"]
)
CONDITIONS = st.builds(
    Condition, FIELDS, st.sampled_from(Operator), st.lists(st.text(), max_size=3).map(tuple)
)
VISITS = st.builds(
    Visit,
    st.none() | st.text() | st.text("htp:/[]?&=#@%a1.", max_size=40),
    st.none() | st.text(),
    st.dictionaries(st.sampled_from(["plan", "utm_campaign", "gclid"]), st.text()),
)


@given(st.lists(CONDITIONS, max_size=4), VISITS)
def test_conditions_never_raise_and_agree_with_each_other(
    conditions: list[Condition], visit: Visit
) -> None:
    """Whatever an operator wrote and a page reported: an answer, and a consistent one."""
    each = [all_hold((condition,), visit) for condition in conditions]

    assert all_hold(conditions, visit) is all(each)
    assert any_holds(conditions, visit) is any(each)
    for condition in conditions:
        assert problem_of(condition) is None or problem_of(condition)


@given(FIELDS, st.lists(st.text(), max_size=3).map(tuple), VISITS)
def test_opposites_are_opposites(field: str, values: tuple[str, ...], visit: Visit) -> None:
    """`present` or `absent`, and never both; what equals a value is not unequal to it."""
    assert holds(field, Operator.PRESENT, visit=visit) is not holds(
        field, Operator.ABSENT, visit=visit
    )
    if holds(field, Operator.EQUALS, *values, visit=visit):
        assert not holds(field, Operator.NOT_EQUALS, *values, visit=visit)


@pytest.mark.parametrize(
    "condition",
    [
        Condition("click_id", Operator.PRESENT),
        Condition("utm_medium", Operator.EQUALS, ("cpc", "ppc")),
        Condition("url.host", Operator.MATCHES, ("*.shop.example",)),
        Condition("url.path", Operator.STARTS_WITH, ("/boilers",)),
        Condition("url.path", Operator.MATCHES, ("*/contact", "/shop/*")),
        Condition("url.path", Operator.CONTAINS, ("boiler",)),
        Condition("url.query.filter[brand]", Operator.NOT_EQUALS, ("x",)),
        Condition("url.query.x.host", Operator.EQUALS, ("a/b",)),
        Condition("plan", Operator.EQUALS, ("x" * LONGEST_VALUE,) * MOST_VALUES),
    ],
)
def test_a_sound_condition_has_no_problem(condition: Condition) -> None:
    """The examples of the documentation, and the limits themselves."""
    assert problem_of(condition) is None


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition("", Operator.PRESENT), "1 to 64"),
        (Condition("utm medium", Operator.PRESENT), "1 to 64"),
        (Condition("x" * 65, Operator.PRESENT), "1 to 64"),
        (Condition("plan\n", Operator.PRESENT), "1 to 64"),
        (Condition("url.query.", Operator.PRESENT), "1 to 64"),
        (Condition("url.hots", Operator.PRESENT), "url.host, url.path"),
        (Condition("referrer.path", Operator.PRESENT), "referrer.host"),
        (Condition("plan", Operator.PRESENT, ("x",)), "present takes no values"),
        (Condition("plan", Operator.ABSENT, ("x",)), "absent takes no values"),
        (Condition("plan", Operator.EQUALS), "equals needs a value"),
        (Condition("plan", Operator.EQUALS, ("x",) * (MOST_VALUES + 1)), "at most 200 values"),
        (Condition("plan", Operator.EQUALS, ("x", " ")), "is empty"),
        (Condition("plan", Operator.EQUALS, ("x" * (LONGEST_VALUE + 1),)), "512 characters"),
        (Condition("url.host", Operator.EQUALS, ("https://shop.example",)), "without scheme"),
        (Condition("referrer.host", Operator.EQUALS, ("shop.example:80",)), "without scheme"),
        (Condition("url.path", Operator.STARTS_WITH, ("boilers",)), "begins with a slash"),
    ],
)
def test_a_condition_that_means_nothing_is_explained(condition: Condition, said: str) -> None:
    """Better told at once than found out by numbers that nobody got."""
    problem = problem_of(condition)

    assert problem is not None
    assert said in problem
