"""Conditions on what a page tells of its visitor: whom a pool serves, for whom numbers are kept.

Owns the fields a condition may ask for, the operators, and what is wrong with a condition; knows
nothing of pools. What the page reports is not to be trusted, so nothing here ever raises on it.

Texts are compared by Unicode case folding, `str.casefold` (`Straße` equals `STRASSE`), and by
nothing else: accents count, spaces count. An empty value is as good as none.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

CLICK_IDS: Final = (
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "msclkid",
    "ttclid",
    "li_fat_id",
    "twclid",
)
"""Parameters by which advertising networks mark a click, Google's first."""

MOST_VALUES: Final = 200
LONGEST_VALUE: Final = 512
"""Characters; the tag cuts what it captures at the same length."""

_CAMPAIGN_PARAMETER: Final = re.compile(rf"utm_[a-z_]{{1,32}}|{'|'.join(CLICK_IDS)}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_QUERY: Final = "url.query."


class Operator(StrEnum):
    """How a field is compared."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    """Holds for a field that is absent, too."""
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    MATCHES = "matches"
    """The whole value, where `*` stands for any characters or none. Linear time, no regex."""
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Condition:
    """One field compared with some values. Any of them suffices; `not_equals`: it is none of them.

    `field` is one of:

    - the name of a captured field (`utm_medium`, `plan`). Campaign parameters (`utm_…` and
      `CLICK_IDS`) that were not captured are looked for in the query of the page's URL, since the
      first page view may come before the tag has stored them;
    - `campaign`: `utm_campaign`, else a field the page itself calls so;
    - `click_id`: the first of `CLICK_IDS` that is known;
    - `url`, `referrer`: the whole text, as the page reports it;
    - `url.host`, `referrer.host`: without port, as browsers write it (punycode);
    - `url.path`: percent-decoded, never empty (`/`);
    - `url.query.<name>`: any parameter of the URL. As the tag reads it: names in lower case, of
      several the last that is not empty.

    These names win over captured fields of the same name.
    """

    field: str
    operator: Operator
    values: tuple[str, ...] = ()
    """Empty for `present` and `absent`, and for no other."""


class Visit(NamedTuple):
    """What one page view tells of its visitor. A named tuple for the reason in `domain.lease`."""

    url: str | None
    referrer: str | None
    fields: Mapping[str, str]


def all_hold(conditions: Iterable[Condition], visit: Visit) -> bool:
    """Whether every condition holds; True when there is none."""
    return all(_holds(condition, visit) for condition in conditions)


def any_holds(conditions: Iterable[Condition], visit: Visit) -> bool:
    """Whether at least one condition holds; False when there is none."""
    return any(_holds(condition, visit) for condition in conditions)


def problem_of(condition: Condition) -> str | None:
    """What is wrong with a condition, as one sentence for its author, or None.

    A condition with a problem is still evaluated without an error; it only never means what its
    author meant.
    """
    return _problem_of_field(condition.field) or _problem_of_values(condition)


def _holds(condition: Condition, visit: Visit) -> bool:
    value = _value(condition.field, visit)
    match condition.operator:
        case Operator.PRESENT:
            return value != ""
        case Operator.ABSENT:
            return value == ""
        case Operator.NOT_EQUALS:
            folded = value.casefold()
            return all(folded != each.casefold() for each in condition.values)
    if not value:
        return False
    compare = _COMPARE[condition.operator]
    folded = value.casefold()
    return any(compare(folded, each.casefold()) for each in condition.values)


def _value(field: str, visit: Visit) -> str:
    """The text of a field, "" where nothing is known of it."""
    derived = _DERIVED.get(field)
    if derived is not None:
        return derived(visit)
    if field.startswith(_QUERY):
        return _query_of(visit).get(field.removeprefix(_QUERY).lower(), "")
    return _captured(field, visit)


def _captured(name: str, visit: Visit) -> str:
    value = visit.fields.get(name)
    if value:
        return value
    return _query_of(visit).get(name, "") if _CAMPAIGN_PARAMETER.fullmatch(name) else ""


def _click_id(visit: Visit) -> str:
    return next((found for name in CLICK_IDS if (found := _captured(name, visit))), "")


def _query_of(visit: Visit) -> Mapping[str, str]:
    return _query(visit.url) if visit.url else {}


# The conditions of a pool, and of several pools, ask for parts of one URL in a row: that one is
# parsed once. No more are kept, since what a visitor looked at is not ours to hoard.
@lru_cache(maxsize=32)
def _query(url: str) -> Mapping[str, str]:
    # By hand, since a malformed host must not cost us the click id.
    text = url.partition("#")[0].partition("?")[2]
    return {name.lower(): value for name, value in parse_qsl(text)}


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _path(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return unquote(parts.path) or ("/" if parts.netloc else "")


_DERIVED: Final[Mapping[str, Callable[[Visit], str]]] = {
    "campaign": lambda visit: _captured("utm_campaign", visit) or _captured("campaign", visit),
    "click_id": _click_id,
    "url": lambda visit: visit.url or "",
    "url.host": lambda visit: _host(visit.url),
    "url.path": lambda visit: _path(visit.url),
    "referrer": lambda visit: visit.referrer or "",
    "referrer.host": lambda visit: _host(visit.referrer),
}


def _matches(text: str, pattern: str) -> bool:
    """Whether a text is a pattern, where `*` stands for anything. One pass, no backtracking.

    The leftmost place for each part leaves the most room for the next, so there is nothing to go
    back for.
    """
    first, *middle = pattern.split("*")
    if not middle:
        return text == first
    last = middle.pop()
    end = len(text) - len(last)
    at = len(first)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


_COMPARE: Final[Mapping[Operator, Callable[[str, str], bool]]] = {
    Operator.EQUALS: str.__eq__,
    Operator.CONTAINS: str.__contains__,
    Operator.STARTS_WITH: str.startswith,
    Operator.ENDS_WITH: str.endswith,
    Operator.MATCHES: _matches,
}


def _problem_of_field(field: str) -> str | None:
    if field in _DERIVED:
        return None
    name = field.removeprefix(_QUERY)
    if name == field and field.startswith(("url.", "referrer.")):
        known = ", ".join(each for each in _DERIVED if "." in each)
        return f"There is no such part of a URL; there are {known} and {_QUERY}<name>."
    if not _NAME.fullmatch(name):
        return "The name of a field has 1 to 64 characters: letters, digits, _ - . [ ]"
    return None


def _problem_of_values(condition: Condition) -> str | None:
    operator, values = condition.operator, condition.values
    if operator in {Operator.PRESENT, Operator.ABSENT}:
        return f"{operator} takes no values." if values else None
    is_host = condition.field in {"url.host", "referrer.host"}
    is_path = condition.field == "url.path" and operator in _FROM_THE_START
    rules = (
        (values, f"{operator} needs a value."),
        (len(values) <= MOST_VALUES, f"A condition has at most {MOST_VALUES} values."),
        (all(map(str.strip, values)), "A value is empty; `absent` asks for that."),
        (
            all(len(value) <= LONGEST_VALUE for value in values),
            f"A value has at most {LONGEST_VALUE} characters.",
        ),
        (
            not is_host or set("".join(values)).isdisjoint("/:?#@"),
            "A host is written without scheme, port and path.",
        ),
        (
            not is_path or all(value.startswith(("/", "*")) for value in values),
            "A path begins with a slash.",
        ),
    )
    return next((sentence for keeps, sentence in rules if not keeps), None)


_FROM_THE_START: Final = frozenset(
    {Operator.EQUALS, Operator.NOT_EQUALS, Operator.STARTS_WITH, Operator.MATCHES}
)
