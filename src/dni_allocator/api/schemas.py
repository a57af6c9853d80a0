"""The shapes of requests and answers, as `openapi.yaml` shows them.

Bodies of the tag tolerate fields they do not know (an older service meets a newer tag); bodies of
operators do not (a typing error must not be silently ignored).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from dni_allocator.domain.pool import LONGEST_WINDOW_S, Format, PoolNumberType, Selection

ClientId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.~-]+$"),
    Field(description="Made by the client: 128 random bits, base64url. Unguessable, or shared."),
]
PhoneText = Annotated[str, StringConstraints(min_length=1, max_length=40)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _as_text(value: object) -> object:
    """Numbers and booleans of a data layer become their JSON text; all else must be text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return value


FieldValue = Annotated[str, BeforeValidator(_as_text), StringConstraints(max_length=2048)]


class TagBody(BaseModel):
    """What all calls of the tag carry."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class AssignBody(TagBody):
    """`POST /assign`: a page asks for its numbers."""

    visitor_id: ClientId | None = None
    page_id: ClientId | None = None
    url: Annotated[str, StringConstraints(max_length=4096)] | None = None
    referrer: Annotated[str, StringConstraints(max_length=4096)] | None = None
    destinations: Annotated[list[PhoneText], Field(max_length=50)] | None = Field(
        default=None,
        description="Numbers the page shows, E.164 or national; left out: the pool's default.",
    )
    fields: Annotated[dict[FieldName, FieldValue], Field(max_length=64)] = Field(
        default_factory=dict, description="Marketing data, flat."
    )
    previous: Annotated[dict[PhoneText, PhoneText | None], Field(max_length=50)] = Field(
        default_factory=dict,
        description="Destination to the number this visitor had before (E.164).",
    )
    consent: Literal["none", "session", "full"] | None = Field(
        default=None, description="`none`: a number is leased, but no data are kept with it."
    )


class PageBody(TagBody):
    """`POST /heartbeat` and `POST /close`."""

    visitor_id: ClientId
    page_id: ClientId


class FormatsOut(BaseModel):
    """One number in four ways."""

    e164: str
    national: str
    international: str
    rfc3966: str


class AssignedNumberOut(BaseModel):
    """The answer for one destination."""

    destination: str
    number: str = Field(description="What to show: the leased, the overflow or the original one.")
    display: str = Field(description="`number` in the pool's format (national for `mirror`).")
    formats: FormatsOut
    status: Literal["leased", "overflow", "original"]
    reason: str
    expires_in_s: int | None = Field(description="Seconds to the end of the lock; null: no lease.")
    lease_id: str | None


class AssignOut(BaseModel):
    """The answer to `POST /assign`, in the order of the destinations."""

    visitor_id: str
    page_id: str
    heartbeat_s: int | None = Field(
        description="Seconds between two heartbeats of a visible page; null: none wanted."
    )
    numbers: list[AssignedNumberOut]


class HeartbeatOut(BaseModel):
    """The answer to `POST /heartbeat`: one of the two."""

    expires_in_s: int | None = None
    gone: bool | None = Field(default=None, description="true: assign again.")


class AdminBody(BaseModel):
    """Bodies of operators refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Seconds = Annotated[int, Field(strict=True)]
Origin = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class PoolFields(AdminBody):
    """The settings of a pool that may be left out."""

    idle_limit_s: Annotated[Seconds, Field(ge=5, le=86_400)] = Field(
        default=300, description="The lock after the visitor's last sign of life."
    )
    closed_browser_delay_s: Annotated[Seconds, Field(ge=0, le=86_400)] = Field(
        default=30, description="The lock after the visitor's last page closed."
    )
    attribution_window_s: Annotated[Seconds, Field(ge=0, le=LONGEST_WINDOW_S)] = Field(
        default=LONGEST_WINDOW_S, description="How long a holder is still the answer afterwards."
    )
    selection: Selection = Selection.LEAST_RECENTLY_RELEASED
    overflow_numbers: Annotated[list[PhoneText], Field(max_length=20)] = Field(
        default_factory=list, description="Shared numbers, shown when none is free."
    )
    format: Format = Format.MIRROR
    number_type: PoolNumberType = PoolNumberType.ANY
    match: Literal["any"] | None = Field(
        default=None, description="How a number is matched to a destination."
    )
    campaign: Annotated[str, StringConstraints(max_length=200)] | None = None
    allowed_origins: Annotated[list[Origin], Field(max_length=200)] = Field(
        default_factory=list,
        description="Origins of pages that may use the key; `https://*.host`, or `*` for all.",
    )
    min_size: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None
    max_size: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None
    marketing_fields: Annotated[list[FieldName], Field(max_length=200)] = Field(
        default_factory=list, description="Names of fields to keep; empty: all that come."
    )
    traffic_sources: Annotated[list[FieldName], Field(max_length=200)] = Field(default_factory=list)
    vendor: Annotated[str, StringConstraints(max_length=64)] | None = None
    paused: bool = False


PoolName = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Country = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2}$"),
    Field(description="ISO 3166-1 alpha-2."),
]
Destinations = Annotated[
    list[PhoneText],
    Field(
        min_length=1,
        max_length=1000,
        description="Numbers the page shows and calls are routed to; the first is the default.",
    ),
]


class PoolCreate(PoolFields):
    """`POST /pools`."""

    name: PoolName
    country: Country = "US"
    destinations: Destinations


def _without_default(schema: dict[str, Any]) -> None:
    """Left out is not the same as empty: the stand-in would break the field's own rules."""
    schema.pop("default", None)


class PoolEdit(PoolFields):
    """`PATCH /pools/{id}`: what is left out stays as it is."""

    name: PoolName = Field(default="", json_schema_extra=_without_default)
    country: Country = Field(default="", json_schema_extra=_without_default)
    destinations: Destinations = Field(default=[], json_schema_extra=_without_default)


class OccupancyOut(BaseModel):
    """What the pool holds now."""

    numbers: int
    leased: int
    free: int
    totals: dict[str, int] = Field(
        description="Since the pool was made: new, returned, ended, overflow, turned_away."
    )


class PoolOut(PoolCreate):
    """A pool."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    key: str = Field(description="The publishable key for the tag.")
    revision: int
    created_at: datetime
    occupancy: OccupancyOut | None = None


class PoolPageOut(BaseModel):
    """Some pools."""

    pools: list[PoolOut]
    next_cursor: str | None


class NumberIn(AdminBody):
    """A number with what is known of it."""

    number: PhoneText
    rate_centre: Annotated[str, StringConstraints(max_length=100)] | None = None
    region: Annotated[str, StringConstraints(max_length=100)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    label: Annotated[str, StringConstraints(max_length=200)] | None = None


class AttachBody(AdminBody):
    """`POST /pools/{id}/numbers`."""

    numbers: Annotated[list[PhoneText | NumberIn], Field(min_length=1, max_length=10_000)]
    all_or_nothing: bool = Field(
        default=False, description="true: one bad row and nothing is attached."
    )


class RejectedOut(BaseModel):
    """A row that was not attached."""

    position: int
    number: str
    code: str
    detail: str


class AttachOut(BaseModel):
    """What became of an attach."""

    attached: int
    numbers: list[str] = Field(description="E.164 of the rows that are in the pool now.")
    rejected: list[RejectedOut]


class NumberOut(BaseModel):
    """A number of the inventory."""

    number: str
    national: str
    international: str
    state: Literal["free", "leased", "draining"]
    locked_until: datetime | None
    facts: dict[str, object]


class NumberPageOut(BaseModel):
    """Some numbers of a pool."""

    numbers: list[NumberOut]
    next_cursor: str | None


class DetachOut(BaseModel):
    """What a detach did."""

    number: str
    state: Literal["detached", "draining"]


class PoolRefOut(BaseModel):
    """The pool of an answer."""

    id: str
    name: str
    campaign: str | None


class CandidateOut(BaseModel):
    """Somebody it may have been."""

    visitor_id: str
    lease_id: str | None
    destination: str
    basis: str
    confidence: float
    assigned_at: datetime
    ended_at: datetime | None
    url: str | None
    referrer: str | None
    fields: dict[str, str]


class AttributionOut(BaseModel):
    """Whose number it was."""

    number: str
    at: datetime
    basis: Literal["live", "closing", "ended", "overflow", "none"]
    confidence: float
    route_to: str
    pool: PoolRefOut
    visitor_id: str | None
    lease_id: str | None
    assigned_at: datetime | None
    ended_at: datetime | None
    url: str | None
    referrer: str | None
    fields: dict[str, str]
    candidates: list[CandidateOut]


class ProblemOut(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class EndpointCreate(AdminBody):
    """`POST /webhooks`."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    secret: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="`whsec_` and 24 to 64 bytes in base64; left out: one is made."
    )
    event_types: Annotated[list[FieldName], Field(max_length=50)] = Field(
        default_factory=list, description="Types to send; empty: all."
    )
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    start: Literal["now", "oldest"] = Field(
        default="now", description="`oldest`: first of all what is still kept from before."
    )


class EndpointEdit(AdminBody):
    """`PATCH /webhooks/{id}`."""

    state: Literal["active", "disabled"]


class EndpointOut(BaseModel):
    """A webhook endpoint."""

    id: str
    url: str
    secret: str
    event_types: list[str]
    description: str
    state: Literal["active", "disabled"]
    disabled_reason: str | None
    created_at: datetime


class EndpointsOut(BaseModel):
    """All webhook endpoints."""

    webhooks: list[EndpointOut]


class IntegrationOut(BaseModel):
    """How to put the tag on a site."""

    html: str = Field(description="One script element; follows edits of the pool by itself.")
    pinned_html: str = Field(
        description="The same with a fixed version and its hash; renew it after edits."
    )
    version: str
    integrity: str
