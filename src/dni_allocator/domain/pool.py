"""A pool: numbers that serve one site or campaign, with its lock rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from dni_allocator.domain.conditions import Condition
from dni_allocator.domain.marketing import Entry
from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.number import Formats
from dni_allocator.domain.old_key import OldKey
from dni_allocator.domain.routing import AS_EVER, Routing

LONGEST_WINDOW_S = 259_200
"""72 hours: the longest a holder is still the answer after the lease ended (Invoca's rule)."""


class Selection(StrEnum):
    """Which free number a new visitor gets."""

    LEAST_RECENTLY_RELEASED = "least_recently_released"
    RANDOM = "random"


class Format(StrEnum):
    """How the tag writes a number; `mirror` keeps the punctuation of the page."""

    MIRROR = "mirror"
    E164 = "e164"
    NATIONAL = "national"
    INTERNATIONAL = "international"
    RFC3966 = "rfc3966"


class PoolNumberType(StrEnum):
    """Which numbers may be attached."""

    ANY = "any"
    LOCAL = "local"
    TOLL_FREE = "toll_free"


_SHOWN = {
    Format.MIRROR: "national",  # the tag goes by the punctuation of the page
    Format.NATIONAL: "national",
    Format.E164: "e164",
    Format.INTERNATIONAL: "international",
    Format.RFC3966: "rfc3966",
}


class RefusedSee(StrEnum):
    """What a page shows that is refused a number: robots, previews, callers over a limit."""

    ORIGINAL = "original"
    OVERFLOW = "overflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What an operator decides. Durations in seconds, numbers as E.164.

    `destinations` is the allow-list, the first one is the default; `closed_browser_delay_s` only
    ever shortens the lock that `idle_limit_s` set.

    Hold: no lease ends before `min_hold_s`, none lives longer than `max_lease_age_s`; a first lease
    lasts `provisional_s` until the tag has sent a heartbeat.

    Pressure: once more than `pressure_threshold` of the numbers in circulation are leased, the idle
    limit shortens in a straight line, to `pressure_idle_limit_s` when all are. `reserve_share` of
    them is kept for visitors of whom all of `reserve_for` holds.

    Limits count new leases: `visitor_rate` and `address_rate` a minute, and `address_leases` live
    at once; an address is a network (/24, or /64 of IPv6). None: no limit.
    """

    name: str
    country: str
    destinations: tuple[str, ...]
    idle_limit_s: int = 300
    closed_browser_delay_s: int = 30
    attribution_window_s: int = LONGEST_WINDOW_S
    selection: Selection = Selection.LEAST_RECENTLY_RELEASED
    overflow_numbers: tuple[str, ...] = ()
    format: Format = Format.MIRROR
    number_type: PoolNumberType = PoolNumberType.ANY
    match: Match = Match.NONE
    match_fallback: MatchFallback = MatchFallback.OVERFLOW
    min_hold_s: int = 0
    max_lease_age_s: int | None = None
    provisional_s: int | None = None
    pressure_threshold: float | None = None
    pressure_idle_limit_s: int = 60
    reserve_share: float = 0.0
    reserve_for: tuple[Condition, ...] = ()
    serves: tuple[Condition, ...] = ()
    """Whom the pool serves: visitors of whom all of these hold."""
    serve_robots: bool = False
    refused_see: RefusedSee = RefusedSee.ORIGINAL
    visitor_rate: int | None = None
    address_rate: int | None = None
    address_leases: int | None = None
    spam_signals: int = 3
    """Signs of spam within an hour that put a number into quarantine; 0: none do."""
    spam_quarantine_s: int = LONGEST_WINDOW_S
    hold_after_call_s: int = 300
    """How long a number that was called is given to nobody but its visitor."""
    qualify_min_duration_s: int = 60
    qualify_outcomes: tuple[str, ...] = ()
    qualify_first_time_only: bool = False
    leak_calls: int = 1
    """Callers within a day of a number that nobody had lately: it leaked. 0: not looked at."""
    leak_callers: int = 5
    """Callers within a day that one lease brought: the number leaked. 0: not looked at."""
    campaign: str | None = None
    allowed_origins: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    marketing_fields: tuple[Entry, ...] = ()
    traffic_sources: tuple[str, ...] = ()
    vendor: str | None = None
    routing: Routing = AS_EVER
    """How calls on the pool's numbers are put through."""
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool as stored: its settings under an id, a publishable key and a revision.

    `revision` grows by one with every edit. Scripts compare it, so that no decision is ever made
    by settings that have been replaced.
    """

    id: str
    key: str
    revision: int
    created_at: str
    settings: PoolSettings
    old_keys: tuple[OldKey, ...] = ()
    """Keys before this one that work on for a while."""
    unshelved: bool = False
    """Numbers may still lie on the shelves of earlier settings; see `services.shelving`."""
    idle_ms: int = field(init=False, repr=False, compare=False)
    """The idle limit, ms."""
    limits_addresses: bool = field(init=False, repr=False, compare=False)
    """Whether it matters from which network a visitor comes."""
    tells_apart: bool = field(init=False, repr=False, compare=False)
    """Whether pages are treated differently by what they say, or by where they come from."""
    shows: int = field(init=False, repr=False, compare=False)
    """Which of a number's `Formats` a page displays, by its place there."""
    shortest_lock_ms: int = field(init=False, repr=False, compare=False)
    """The shortest idle limit a visible page may find itself under."""
    usual_beat_s: int = field(init=False, repr=False, compare=False)
    """How often a page beats that is under no shorter lock than that."""

    def __post_init__(self) -> None:
        """Work out what every page view asks for."""
        settings = self.settings
        limits = settings.address_rate is not None or settings.address_leases is not None
        under_pressure = settings.pressure_idle_limit_s
        if settings.pressure_threshold is None:
            under_pressure = settings.idle_limit_s
        shortest_lock_s = min(settings.idle_limit_s, under_pressure)
        known: dict[str, int] = {
            "idle_ms": settings.idle_limit_s * 1000,
            "limits_addresses": limits,
            "tells_apart": bool(settings.serves or settings.reserve_for or limits),
            "shows": Formats._fields.index(_SHOWN[settings.format]),
            "shortest_lock_ms": 1000 * shortest_lock_s,
            "usual_beat_s": heartbeat_for(shortest_lock_s),
        }
        for name, value in known.items():
            object.__setattr__(self, name, value)  # the way of frozen dataclasses

    @property
    def closed_delay_ms(self) -> int:
        """The closed-browser delay, ms."""
        return self.settings.closed_browser_delay_s * 1000

    @property
    def window_ms(self) -> int:
        """The attribution window, ms; at least one, since Redis knows no TTL of nothing."""
        return max(1, self.settings.attribution_window_s * 1000)

    def heartbeat_within(self, expires_in_ms: int) -> int:
        """How often a visible page should beat, s, whose lease as it is now lives this long.

        A third of the shortest lock it may find itself under, so that two lost heartbeats in a row
        cost nothing; between 2 seconds and one minute.
        """
        if expires_in_ms >= self.shortest_lock_ms:
            return self.usual_beat_s
        return heartbeat_for(expires_in_ms // 1000)

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may use the key.

        Entries are origins (`https://shop.example`), `https://*.example` for every host below,
        or `*`.
        """
        origins = self.settings.allowed_origins
        return origin in origins or any(_origin_matches(origin, allowed) for allowed in origins)

    def overflow_for(self, visitor_id: str) -> str:
        """The shared number for a visitor, or "": one of the list, always the same for them."""
        numbers = self.settings.overflow_numbers
        if not numbers:
            return ""
        # A sum is plenty to spread visitors over a handful of numbers, and stable over processes.
        return numbers[sum(visitor_id.encode()) % len(numbers)]


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What a pool holds right now, and what it did since it was made.

    `totals`: `new`, `returned`, `ended`, `overflow`, `turned_away` (counts of assignments by
    outcome), and every reason for which a page got no number. Renewals are not counted here, the
    service's metrics have them.
    """

    attached: int
    leased: int
    totals: Mapping[str, int]
    resting: int = 0
    """In quarantine and held by nobody."""

    @property
    def free(self) -> int:
        """Numbers on the shelves."""
        return self.attached - self.leased - self.resting


def heartbeat_for(lock_s: int) -> int:
    """Seconds between two heartbeats under a lock of this length."""
    return max(2, min(60, lock_s // 3))


def normalise_origin(text: str) -> str | None:
    """An origin as browsers send it (RFC 6454: lower case, no path, no default port), or None."""
    if text == "*":
        return text
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if parts.scheme not in {"http", "https"} or not host or parts.path not in {"", "/"}:
        return None
    if parts.query or parts.fragment or parts.username:
        return None
    if "*" in host and not (host.startswith("*.") and "*" not in host[2:]):
        return None
    if ":" in host:
        host = f"[{host}]"
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, default} else "")


def _origin_matches(origin: str, allowed: str) -> bool:
    if allowed in {"*", origin}:
        return True
    scheme, wildcard, rest = allowed.partition("://*.")
    if not wildcard:
        return False
    prefix, suffix = f"{scheme}://", f".{rest}"
    return (
        origin.startswith(prefix)
        and origin.endswith(suffix)
        and len(origin) > len(prefix) + len(suffix)
    )
