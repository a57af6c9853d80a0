"""The shapes of pools and their numbers, as operators send and read them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from dni_allocator.api.buying_schemas import AutoBuyBody
from dni_allocator.api.routing_schemas import RoutingBody
from dni_allocator.api.schemas import AdminBody, FieldName, PhoneText
from dni_allocator.api.schemas_keys import OldKeyOut
from dni_allocator.domain.conditions import MOST_VALUES, Operator
from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.pool import (
    LONGEST_WINDOW_S,
    Format,
    PoolNumberType,
    RefusedSee,
    Selection,
)


class ConditionBody(AdminBody):
    """A condition on what a page tells of its visitor."""

    field: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(
        description="A captured field, `url`, `url.host`, `url.path`, `url.query.<name>`, "
        "`referrer`, `referrer.host`, `campaign` (utm_campaign) or `click_id` (any)."
    )
    operator: Operator = Operator.EQUALS
    values: Annotated[
        list[Annotated[str, StringConstraints(max_length=512)]], Field(max_length=MOST_VALUES)
    ] = Field(default_factory=list, description="Any of them suffices; case does not matter.")


Seconds = Annotated[int, Field(strict=True)]
Rate = Annotated[int, Field(strict=True, ge=1, le=60_000)]
Conditions = Annotated[list[ConditionBody], Field(max_length=50)]


def _no_matching(value: object) -> object:
    return Match.NONE if value is None else value


Outcome = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Origin = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class MarketingFieldBody(AdminBody):
    """A field the tag collects beyond what it always does."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,64}$")]
    source: Literal["parameter", "cookie", "variable", "data_layer"] | None = Field(
        default=None, description="null: the field comes by itself, or by `dni('set', …)`."
    )
    key: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Its name there, with dots for a path; null: as `name`."
    )
    touch: Literal["first", "last"] = Field(
        default="last", description="`first`: the first value this browser saw stays."
    )


PoolSize = Annotated[int, Field(strict=True, ge=0, le=10_000_000)]


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
    match: Annotated[Match, BeforeValidator(_no_matching)] = Field(
        default=Match.NONE,
        description="How a number is matched to a destination: `type` (toll-free for toll-free), "
        "`area` (and area code, rate centre, state), or `none`: all are interchangeable.",
    )
    match_fallback: MatchFallback = Field(
        default=MatchFallback.OVERFLOW,
        description="What is shown when no number fits or all that fit are taken.",
    )
    min_hold_s: Annotated[Seconds, Field(ge=0, le=86_400)] = Field(
        default=0, description="No lease ends before, whatever closes."
    )
    max_lease_age_s: Annotated[Seconds, Field(ge=5, le=2_592_000)] | None = Field(
        default=None, description="No lease lives longer, however often it is renewed."
    )
    provisional_s: Annotated[Seconds, Field(ge=6, le=3600)] | None = Field(
        default=None,
        description="The lock of a visitor's first lease until the tag has sent a heartbeat.",
    )
    pressure_threshold: Annotated[float, Field(ge=0.01, le=1)] | None = Field(
        default=None,
        description="Leased share of the pool above which silent leases give way sooner.",
    )
    pressure_idle_limit_s: Annotated[Seconds, Field(ge=6, le=86_400)] = Field(
        default=60, description="The idle limit when every number is leased."
    )
    reserve_share: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="Share of the pool kept for visitors of `reserve_for`."
    )
    reserve_for: Conditions = Field(
        default_factory=list, description="All of these hold for whom the reserve is."
    )
    serves: Conditions = Field(
        default_factory=list, description="All of these hold for whom the pool is; empty: everyone."
    )
    serve_robots: bool = Field(default=False, description="Lease to known robots too.")
    refused_see: RefusedSee = Field(
        default=RefusedSee.ORIGINAL,
        description="What robots, previews and callers over a limit see.",
    )
    visitor_rate: Rate | None = Field(
        default=None, description="Most new leases a minute for one visitor."
    )
    address_rate: Rate | None = Field(
        default=None, description="Most new leases a minute for one network (/24, IPv6 /64)."
    )
    address_leases: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        default=None, description="Most live leases of one network."
    )
    spam_signals: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=3, description="Signs of spam within an hour that quarantine a number; 0: none do."
    )
    spam_quarantine_s: Annotated[Seconds, Field(ge=60, le=31_536_000)] = Field(
        default=LONGEST_WINDOW_S, description="How long such a quarantine lasts."
    )
    hold_after_call_s: Annotated[Seconds, Field(ge=0, le=86_400)] = Field(
        default=300, description="How long a called number is given to nobody but its visitor."
    )
    qualify_min_duration_s: Annotated[Seconds, Field(ge=0, le=86_400)] = Field(
        default=60, description="A completed call of at least this length qualifies."
    )
    qualify_outcomes: Annotated[list[Outcome], Field(max_length=100)] = Field(
        default_factory=list, description="Only with one of these outcomes; empty: with any."
    )
    qualify_first_time_only: bool = Field(
        default=False, description="Only of somebody who did not call the pool before."
    )
    leak_calls: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=1,
        description="Callers within a day, on a number that nobody had within the window, that "
        "raise `number.leaked`; 0: none do.",
    )
    leak_callers: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=5,
        description="Callers within a day, on one lease, that raise `number.leaked`; 0: none do.",
    )
    campaign: Annotated[str, StringConstraints(max_length=200)] | None = None
    allowed_origins: Annotated[list[Origin], Field(max_length=200)] = Field(
        default_factory=list,
        description="Origins of pages that may use the key; `https://*.host`, or `*` for all.",
    )
    min_size: PoolSize | None = None
    max_size: PoolSize | None = None
    marketing_fields: Annotated[list[FieldName | MarketingFieldBody], Field(max_length=200)] = (
        Field(
            default_factory=list,
            description="The fields to keep, and where the tag finds them; empty: all that come.",
        )
    )
    traffic_sources: Annotated[list[FieldName], Field(max_length=200)] = Field(
        default_factory=list,
        description="Ids of traffic sources that count for it, in this order.",
    )
    vendor: Annotated[str, StringConstraints(max_length=64)] | None = None
    routing: RoutingBody = Field(
        default_factory=RoutingBody,
        description="How calls are put through. An edit changes what it names.",
    )
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


class PoolOrder(PoolCreate):
    """`POST /pools`: a pool, and numbers for it."""

    auto_buy: AutoBuyBody | None = Field(
        default=None, description="Order these numbers for the pool as soon as it is made."
    )


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
    quarantined: int
    totals: dict[str, int] = Field(
        description="Since the pool was made: new, returned, ended, overflow, turned_away, "
        "conflicts, and each reason for which a page got nothing (bot, rate_limited, reserved, …)."
    )


class PoolOut(PoolCreate):
    """A pool."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    key: str = Field(description="The publishable key for the tag.")
    old_keys: list[OldKeyOut] = Field(
        default_factory=list, description="Replaced keys that still work."
    )
    revision: int
    created_at: datetime
    occupancy: OccupancyOut | None = None
    purchase_id: str | None = Field(
        default=None, description="The order of `auto_buy`, in the answer that made the pool."
    )


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
    state: Literal["free", "leased", "draining", "quarantined", "held"]
    locked_until: datetime | None
    quarantine: "QuarantineOut | None" = None
    shelf: str = Field(description="Numbers on one shelf are interchangeable.")
    facts: dict[str, object]


class QuarantineBody(AdminBody):
    """`PUT /pools/{id}/numbers/{number}/quarantine`."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    until: AwareDatetime | None = Field(
        default=None, description="With an offset. Left out: until it is called off."
    )


class QuarantineOut(BaseModel):
    """Why a number is given to nobody, since when, and until when."""

    reason: str
    since: datetime
    until: datetime | None


class QuarantineStateOut(BaseModel):
    """What became of a number."""

    number: str
    state: Literal["quarantined", "at_end", "draining", "acquitted", "free", "counted"] = Field(
        description="`at_end`: it keeps its visitor until the lease ends."
    )
    signals: int | None = Field(default=None, description="Signs of spam within the hour.")


class SuggestionOut(BaseModel):
    """A number that pages show and the pool does not know."""

    destination: str
    last_seen: datetime


class SuggestionsOut(BaseModel):
    """Destinations to allow, perhaps; the latest first."""

    suggestions: list[SuggestionOut]


class NumberPageOut(BaseModel):
    """Some numbers of a pool."""

    numbers: list[NumberOut]
    next_cursor: str | None


class DetachOut(BaseModel):
    """What a detach did."""

    number: str
    state: Literal["detached", "draining"]
