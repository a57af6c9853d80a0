"""The shape of a pool's `routing`: how its calls are put through."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from dni_allocator.api.schemas import AdminBody, PhoneText
from dni_allocator.domain.routing import Recording, Treatment, Weekday

Said = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Numbers = Annotated[list[PhoneText], Field(max_length=200)]


def _nothing_twice(days: list[Weekday]) -> list[Weekday]:
    return list(dict.fromkeys(days))


class SpanBody(AdminBody):
    """Hours on some days of the week, by the clock of the time zone."""

    days: Annotated[
        list[Weekday], Field(min_length=1, max_length=7), AfterValidator(_nothing_twice)
    ]
    opens: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    closes: Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")] = Field(
        description="Not included. Before `opens`: on the next day."
    )


class BusinessHoursBody(AdminBody):
    """When somebody is there."""

    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Of the IANA database, `America/Phoenix`."
    )
    weekly: Annotated[list[SpanBody], Field(max_length=50)]
    holidays: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]], Field(max_length=400)
    ] = Field(default_factory=list, description="Dates on which nobody is there.")


class HandlingBody(AdminBody):
    """What is done with calls of one kind."""

    action: Treatment = Treatment.ROUTE
    destination: PhoneText | None = Field(
        default=None, description="For `route`; null: where any other call goes."
    )
    message: Said | None = Field(default=None, description="For `message`: what is said.")


class RoutingBody(AdminBody):
    """How calls on the pool's numbers are put through, where this service is asked."""

    caller_id: PhoneText = Field(
        default="caller",
        description="Which number the destination sees: `caller`, `tracking`, or a fixed one.",
    )
    whisper: Said | None = Field(
        default=None,
        description="Said to whoever answers before the two are connected; `{pool}`, `{campaign}` "
        "and captured fields, as `{utm_source}`, are filled in.",
    )
    announcement: Said | None = Field(
        default=None, description="Said to the caller before anything rings."
    )
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}-[A-Z]{2}$")] | None = Field(
        default=None, description="Of all that is said, `en-US`; null: as the vendor likes."
    )
    record: Recording = Field(
        default=Recording.NONE, description="Record from the answer on; `dual`: a channel each."
    )
    ring_timeout_s: Annotated[int, Field(strict=True, ge=5, le=120)] = Field(
        default=25, description="How long a destination rings."
    )
    fallback_destinations: Annotated[list[PhoneText], Field(max_length=10)] = Field(
        default_factory=list, description="Rung in turn when nobody answers."
    )
    business_hours: BusinessHoursBody | None = Field(
        default=None, description="null: somebody is always there."
    )
    after_hours: HandlingBody = Field(
        default_factory=HandlingBody, description="Calls outside business hours."
    )
    unknown: HandlingBody = Field(
        default_factory=HandlingBody,
        description="Calls on a number nobody is known to have had lately.",
    )
    spam: HandlingBody = Field(
        default_factory=HandlingBody,
        description="Calls on a number in quarantine, or from `blocked_callers`.",
    )
    blocked_callers: Numbers = Field(
        default_factory=list, description="Numbers that call for spam."
    )


def named_in(body: RoutingBody) -> dict[str, Any]:
    """The settings a body names, and no defaults: for an edit."""
    told = body.model_dump()
    return {name: told[name] for name in body.model_fields_set}
