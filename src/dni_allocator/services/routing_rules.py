"""What holds for a pool's routing as a whole: numbers that can be dialled, zones that exist."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dni_allocator.domain.errors import InvalidNumber
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.routing import BusinessHours, CallerId, Handling, Routing, problems_of

Problems = list[dict[str, str]]

_LIKE_E164: Final = re.compile(r"\+[0-9]{5,15}")


def normalise_routing(routing: Routing, *, country: str) -> tuple[Routing, Problems]:
    """Numbers as E.164, read as one dials within `country`; and all that is wrong, by field.

    No value is repeated: numbers are personal.
    """
    reader = _Reader(country)
    result = replace(
        routing,
        caller_id=reader.caller_id(routing.caller_id),
        fallback_destinations=reader.numbers(
            "fallback_destinations", routing.fallback_destinations
        ),
        blocked_callers=reader.callers(routing.blocked_callers),
        after_hours=reader.handling("after_hours", routing.after_hours),
        unknown=reader.handling("unknown", routing.unknown),
        spam=reader.handling("spam", routing.spam),
    )
    found = [*reader.problems, *problems_of(routing)]
    if routing.business_hours is not None:
        found += _calendar_problems(routing.business_hours)
    return result, [{"field": f"routing.{field}", "detail": detail} for field, detail in found]


class _Reader:
    """Reads numbers, and remembers which could not be read."""

    def __init__(self, country: str) -> None:
        self._country = country
        self.problems: list[tuple[str, str]] = []

    def number(self, field: str, typed: str) -> str:
        try:
            return parse_number(typed, country=self._country).e164
        except InvalidNumber as error:
            self.problems.append((field, error.detail))
            return ""

    def numbers(self, field: str, typed: Sequence[str]) -> tuple[str, ...]:
        read = (self.number(f"{field}.{position}", text) for position, text in enumerate(typed))
        return tuple(dict.fromkeys(read))

    def callers(self, typed: Sequence[str]) -> tuple[str, ...]:
        """Numbers that call: also such as nobody can have, since spam makes them up."""
        return tuple(
            dict.fromkeys(
                text
                if _LIKE_E164.fullmatch(text)
                else self.number(f"blocked_callers.{position}", text)
                for position, text in enumerate(typed)
            )
        )

    def caller_id(self, typed: str) -> str:
        return typed if typed in set(CallerId) else self.number("caller_id", typed)

    def handling(self, field: str, given: Handling) -> Handling:
        if given.destination is None:
            return given
        return replace(given, destination=self.number(f"{field}.destination", given.destination))


def _calendar_problems(hours: BusinessHours) -> Iterator[tuple[str, str]]:
    try:
        ZoneInfo(hours.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "business_hours.time_zone", "No such time zone in the IANA database."
    for position, holiday in enumerate(hours.holidays):
        try:
            date.fromisoformat(holiday)
        except ValueError:
            yield f"business_hours.holidays.{position}", "No such day in the calendar."
