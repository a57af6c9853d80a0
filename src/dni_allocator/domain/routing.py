"""What becomes of a call on a pool's number: whom it rings, what is said, who is turned away.

Pure rules. Every destination here is an operator's: no page, visitor or caller can name one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

LONGEST_WHISPER: Final = 300
"""Characters that are said at most, whatever a page told."""
_LONGEST_VALUE: Final = 60
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_FIELD: Final = re.compile(r"[\w.-]{1,64}")


class Weekday(StrEnum):
    """A day of the week; their order is that of `datetime.weekday`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_WEEK: Final = tuple(Weekday)


class CallerId(StrEnum):
    """Which number the destination sees; or a fixed one, in E.164."""

    CALLER = "caller"
    TRACKING = "tracking"


class Recording(StrEnum):
    """Whether a call is recorded, from the answer on; `dual`: each side on a channel."""

    NONE = "none"
    MONO = "mono"
    DUAL = "dual"


class Treatment(StrEnum):
    """What is done with a call."""

    ROUTE = "route"
    MESSAGE = "message"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Span:
    """Hours on some days: wall-clock times `HH:MM`, the end excluded, `24:00` the end of a day.

    Hours that end before they begin run on into the next day. Such texts sort as the times do.
    """

    days: tuple[Weekday, ...]
    opens: str
    closes: str

    def covers(self, local: datetime) -> bool:
        """Whether a wall-clock time lies within."""
        time = local.strftime("%H:%M")
        if self.opens < self.closes:
            return self._on(local) and self.opens <= time < self.closes
        begun = self._on(local) and time >= self.opens
        return begun or (self._on(local - timedelta(days=1)) and time < self.closes)

    def _on(self, local: datetime) -> bool:
        return _WEEK[local.weekday()] in self.days


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """When somebody is there. `time_zone`: of the IANA database; `holidays`: dates `YYYY-MM-DD`."""

    time_zone: str
    weekly: tuple[Span, ...]
    holidays: tuple[str, ...] = ()

    def are_open(self, local: datetime) -> bool:
        """Whether somebody is there at a wall-clock time of `time_zone`; on a holiday never."""
        if local.date().isoformat() in self.holidays:
            return False
        return any(span.covers(local) for span in self.weekly)


@dataclass(frozen=True, slots=True)
class Handling:
    """What is done with calls of one kind.

    `route` without a destination treats them as any other; `message` says `message` and hangs up.
    """

    action: Treatment = Treatment.ROUTE
    destination: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How a pool's calls are put through.

    `caller_id` is a `CallerId` or a number. `whisper` is said to whoever answers, before the two
    are connected, with `{pool}`, `{campaign}` and any captured field as `{utm_source}`;
    `announcement` is said to the caller first; both in `language`. `fallback_destinations` ring in
    turn when nobody answers. `unknown`: nobody is known to have had the number; `spam`: the number
    is in quarantine or the caller among `blocked_callers`.
    """

    caller_id: str = CallerId.CALLER
    whisper: str | None = None
    announcement: str | None = None
    language: str | None = None
    record: Recording = Recording.NONE
    ring_timeout_s: int = 25
    fallback_destinations: tuple[str, ...] = ()
    business_hours: BusinessHours | None = None
    after_hours: Handling = Handling()
    unknown: Handling = Handling()
    spam: Handling = Handling()
    blocked_callers: tuple[str, ...] = ()

    @property
    def handlings(self) -> dict[str, Handling]:
        """What is done out of the ordinary, by the name of the setting."""
        return {"after_hours": self.after_hours, "unknown": self.unknown, "spam": self.spam}

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every number that calls can be sent to by these settings."""
        named = (each.destination for each in self.handlings.values())
        return (*self.fallback_destinations, *(each for each in named if each))


AS_EVER: Final = Routing()
"""Of a pool that says nothing: calls ring where they belong, and nothing else happens."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Ring these in turn, the first one first."""

    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Say this, and hang up."""

    text: str


@dataclass(frozen=True, slots=True)
class Decline:
    """Do not take the call."""


Plan = Connect | Announce | Decline


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of a call when it comes in. `is_open` is None for a pool without hours."""

    route_to: str
    known: bool
    spam: bool
    is_open: bool | None


def plan(routing: Routing, call: Circumstances) -> Plan:
    """What becomes of a call. Spam is looked at first, then the hours, then whether it is known."""
    if call.spam:
        planned = _handled(routing.spam)
        if planned is not None:
            return planned
    if call.is_open is False:
        planned = _handled(routing.after_hours)
        if planned is not None:
            return planned
    first = call.route_to
    if not call.known:
        planned = _handled(routing.unknown)
        if isinstance(planned, Connect):
            (first,) = planned.destinations
        elif planned is not None:
            return planned
    return Connect(tuple(dict.fromkeys((first, *routing.fallback_destinations))))


def _handled(handling: Handling) -> Plan | None:
    """What a handling says; None: as any other call."""
    if handling.action is Treatment.REJECT:
        return Decline()
    if handling.action is Treatment.MESSAGE:
        return Announce(handling.message or "")
    return Connect((handling.destination,)) if handling.destination else None


def whispered(template: str, told: Mapping[str, str]) -> str:
    """A whisper with what is known of the call in its places; unknown places are left empty.

    What a page told is untrusted: it is only ever said, never dialled, and is cut to a length.
    """
    said = PLACEHOLDER.sub(lambda place: told.get(place[1], "")[:_LONGEST_VALUE], template)
    # A place that stayed empty leaves its comma behind.
    return " ".join(said.split()).strip(" ,;")[:LONGEST_WHISPER]


def problems_of(routing: Routing) -> Iterable[tuple[str, str]]:
    """What contradicts itself: name of the setting, and a sentence for its author."""
    for name, handling in routing.handlings.items():
        yield from ((f"{name}.{part}", problem) for part, problem in _handling_problems(handling))
    hours = routing.business_hours
    if hours is not None:
        if routing.after_hours == Handling():
            yield "after_hours", "With business hours, say what happens outside of them."
        for position, span in enumerate(hours.weekly):
            if span.opens == span.closes:
                yield f"business_hours.weekly.{position}", "Opens and closes at the same time."
    for name in PLACEHOLDER.findall(routing.whisper or ""):
        if not _FIELD.fullmatch(name):
            yield "whisper", "A place is the name of a field in braces, as {utm_source}."


def _handling_problems(handling: Handling) -> Iterable[tuple[str, str]]:
    if handling.action is Treatment.MESSAGE and not handling.message:
        yield "message", "What is to be said?"
    if handling.action is not Treatment.MESSAGE and handling.message:
        yield "message", "Only the action `message` says something."
    if handling.action is not Treatment.ROUTE and handling.destination:
        yield "destination", "Only the action `route` has a destination."


def routing_of(told: Mapping[str, Any]) -> Routing:
    """Routing from its JSON form; what it does not name is the default."""
    known = {each.name for each in fields(Routing)}
    values = {name: value for name, value in told.items() if name in known}
    for name in ("after_hours", "unknown", "spam"):
        if name in values:
            handling = Handling(**values[name])
            values[name] = replace(handling, action=Treatment(handling.action))
    if "record" in values:
        values["record"] = Recording(values["record"])
    for name in ("fallback_destinations", "blocked_callers"):
        if name in values:
            values[name] = tuple(values[name])
    hours = values.get("business_hours")
    if hours is not None:
        values["business_hours"] = BusinessHours(
            time_zone=hours["time_zone"],
            weekly=tuple(
                Span(tuple(map(Weekday, span["days"])), span["opens"], span["closes"])
                for span in hours["weekly"]
            ),
            holidays=tuple(hours.get("holidays", ())),
        )
    made = Routing(**values)
    # Nearly every pool: one object for all of them.
    return AS_EVER if made == AS_EVER else made
