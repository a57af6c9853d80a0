"""How the source of a visit is recognised, by what its page told.

The rules are data: `traffic_rules.json` beside this file, explained in docs/traffic-sources.md. An
operator's own sources come before them.

What the page reports is not to be trusted, so nothing here ever raises on it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import translate
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from dni_allocator.domain.conditions import Visit, all_hold
from dni_allocator.domain.traffic_source import LONGEST_NAME, Kind, Medium, Source, TrafficSource

DIRECT: Final = Source(Kind.DIRECT, "direct", Medium.NONE, "nothing")


def recognise(
    fields: Mapping[str, str],
    url: str | None,
    referrer: str | None,
    linked: Sequence[TrafficSource] = (),
) -> Source:
    """Say where a visit came from, by what its lease was told.

    `fields` are what the tag captured (its last touch) or a backend passed on. What is captured
    counts before what stands in the URL, and the touch's own referrer before that of the page: the
    visitor may have been on the site for some pages. A referrer of the site itself counts for
    nothing. `linked` are the operator's sources for this pool, in its order. Cost: 30 to 60 µs.
    """
    visit = Visit(url=url, referrer=referrer, fields=fields)
    for source in linked:
        if source.kind is Kind.CUSTOM and source.conditions and all_hold(source.conditions, visit):
            medium = source.medium or Medium.OTHER
            return Source(Kind.CUSTOM, source.name, medium, "conditions", source.id)
    told = Told(fields, url)
    found = (
        _by_click_id(told)
        or _by_campaign(told)
        or _by_referrer(told, fields.get("referrer") or referrer or "")
        or _by_cookie(fields)
        or DIRECT
    )
    source_id = next((each.id for each in linked if each.stands_for(found)), None)
    return found if source_id is None else replace(found, id=source_id)


# --- the steps ------------------------------------------------------------------------------------


class Told:
    """What a visit tells by name: captured fields first, then its URL, then its landing page's."""

    def __init__(self, fields: Mapping[str, str], url: str | None) -> None:
        landing = fields.get("landing_page", "")
        self._places = (fields, _query(url or ""), _query(landing))
        self.own_hosts = {host for page in (url, landing) if (host := _host(page or ""))}

    def get(self, name: str) -> str:
        """The value of a parameter in lower case, "" where nobody tells."""
        return next((found for place in self._places if (found := place.get(name))), "")

    def medium(self) -> Medium | None:
        """What `utm_medium` says; None: it says nothing we know."""
        text = self.get("utm_medium").strip().lower()
        return next((medium for medium, known in _RULES.media if known.fullmatch(text)), None)


def _by_click_id(told: Told) -> Source | None:
    for parameter, rule in _RULES.click_ids:
        if told.get(parameter):
            # A click id that says nothing of money is also put on links nobody paid for.
            medium = rule.medium or _paid_or_organic(told)
            return Source(rule.kind, rule.name, medium, parameter)
    return None


def _by_campaign(told: Told) -> Source | None:
    written = told.get("utm_source").strip().lower()[:LONGEST_NAME]
    medium = told.medium()
    if not written:
        return None
    rule = _RULES.campaigns.get(written)
    if rule is None:
        kind = Kind.PAID if medium is Medium.PAID else Kind.REFERRAL
        return Source(kind, written, medium or Medium.OTHER, "utm")
    kind = rule.kind
    if medium is not Medium.PAID and rule.unpaid is not None:
        # Without payment it is the search engine, not its advertising; or a letter.
        kind = Kind.REFERRAL if medium in {Medium.EMAIL, Medium.REFERRAL} else rule.unpaid
    return Source(kind, rule.name, medium or Medium.OTHER, "utm")


def _by_referrer(told: Told, referrer: str) -> Source | None:
    host = _host(referrer)
    cached = _in_amp_cache(host, referrer)
    if cached and _is_of(cached, told.own_hosts):
        # Google's search shows a page of this site from its cache.
        return Source(Kind.ORGANIC, "google", Medium.ORGANIC, "referrer")
    host = cached or host
    if not host or _is_of(host, told.own_hosts):
        return None
    rule = _rule_of_host(host)
    name = host.removeprefix("www.")[:LONGEST_NAME]
    if rule is None:
        return Source(Kind.REFERRAL, name, Medium.REFERRAL, "referrer")
    if rule.kind is Kind.DIRECT:
        return None
    return Source(rule.kind, rule.name or name, rule.medium or Medium.REFERRAL, "referrer")


def _by_cookie(fields: Mapping[str, str]) -> Source | None:
    for cookie, rule in _RULES.cookies:
        if fields.get(cookie):
            return Source(rule.kind, rule.name, rule.medium or Medium.OTHER, cookie)
    return None


def _paid_or_organic(told: Told) -> Medium:
    return Medium.PAID if told.medium() is Medium.PAID else Medium.ORGANIC


# --- hosts ----------------------------------------------------------------------------------------

_COUNTRY: Final = re.compile(r"\.(?:com?\.)?[a-z]{2,3}$")
"""The end of a host that stands for `.*` in a rule: `.com`, `.de`, `.co.uk`, `.com.au`, `.cat`."""


_AMP_VIEWER: Final = re.compile(
    r"https?://(?:cdn\.ampproject\.org/[a-z]|www\.google\.[a-z.]+/amp)/(?:s/)?([^/?#]+\.[^/?#]+)"
)


def _rule_of_host(host: str) -> "_Rule | None":
    """The rule of a host: the first that names it, or a domain above it."""
    bare = _COUNTRY.sub("", host)
    names = {*_and_above(host)}
    if bare != host:
        names |= {f"{name}.*" for name in _and_above(bare)}
    found = [_RULES.hosts[name] for name in names if name in _RULES.hosts]
    return min(found, key=lambda rule: rule.place, default=None)


@lru_cache(maxsize=1024)
def engine_of(host: str) -> str | None:
    """The search engine whose pages a host serves, by name; None: it is none.

    Remembered, since it is asked on the way of a page view.
    """
    rule = _rule_of_host(host)
    return rule.name if rule is not None and rule.kind is Kind.ORGANIC else None


def _and_above(host: str) -> Iterable[str]:
    labels = host.split(".")
    return (".".join(labels[at:]) for at in range(len(labels)))


def _is_of(host: str, own_hosts: Iterable[str]) -> bool:
    """Whether a host is one of the site: the same, below or above, with or without `www.`."""
    one = "." + host.removeprefix("www.")
    others = ("." + own.removeprefix("www.") for own in own_hosts)
    return any(one.endswith(other) or other.endswith(one) for other in others)


def _in_amp_cache(host: str, referrer: str) -> str:
    """The host of which an AMP cache or viewer shows a page; "": this is none.

    Google writes it into the name of the cache: `-` for each dot and `--` for each hyphen
    (https://developers.google.com/amp/cache/overview, seen 2026-11), or into the path of the
    viewer: `/amp/s/shop.example/page`.
    """
    if host.endswith(".cdn.ampproject.org"):
        name = host.removesuffix(".cdn.ampproject.org")
        return name.replace("--", "\0").replace("-", ".").replace("\0", "-")
    viewed = _AMP_VIEWER.match(referrer)
    return viewed[1].lower() if viewed else ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _query(url: str) -> Mapping[str, str]:
    # By hand, since a malformed host must not cost us the click id.
    text = url.partition("#")[0].partition("?")[2]
    return {name.lower(): value for name, value in parse_qsl(text)}


# --- the table ------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    kind: Kind
    name: str
    medium: Medium | None
    place: int
    unpaid: Kind | None
    """What it is when nobody paid, where that is another kind."""


class _Rules:
    """The table of `traffic_rules.json`, read once."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.click_ids = [(row["parameter"], _rule(row)) for row in table["click_ids"]]
        self.cookies = [(row["cookie"], _rule(row)) for row in table["cookies"]]
        self.campaigns = {
            written: _rule(row) for row in table["campaigns"] for written in row["sources"]
        }
        self.hosts = {
            host: _rule(row, place)
            for place, row in enumerate(table["referrers"])
            for host in row["hosts"]
        }
        self.media = [
            (Medium(name), re.compile("|".join(map(translate, known))))
            for name, known in table["media"].items()
        ]


def _rule(row: Mapping[str, Any], place: int = 0) -> _Rule:
    medium, unpaid = row.get("medium"), row.get("unpaid")
    return _Rule(
        kind=Kind(row["kind"]),
        name=row["name"],
        medium=Medium(medium) if medium else None,
        place=place,
        unpaid=Kind(unpaid) if unpaid else None,
    )


_RULES: Final = _Rules(json.loads((files(__package__) / "traffic_rules.json").read_text("utf-8")))

CLICK_ID_PARAMETERS: Final = tuple(parameter for parameter, _ in _RULES.click_ids)
"""Every parameter by which a click is recognised, in the order in which they count."""
