"""The shapes of traffic sources and of where their conversions are reported."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from dni_allocator.api.pool_schemas import ConditionBody
from dni_allocator.api.schemas import AdminBody
from dni_allocator.api.schemas_webhooks import Headers, PoolIds, RateLimit, Url
from dni_allocator.domain.conversion_file import GOOGLE_CLICK_IDS, MOST_DAYS
from dni_allocator.domain.traffic_source import LONGEST_NAME, SURE_ENOUGH, Kind, Medium

SourceName = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_NAME, strip_whitespace=True)
]
Description = Annotated[str, StringConstraints(max_length=500)]
Conditions = Annotated[
    list[ConditionBody],
    Field(max_length=50, description="Of a custom source: visits of which all of these hold."),
]
SourceMedium = Annotated[
    Medium | None,
    Field(
        description="Of a custom source: what to call its visits (default `other`). Of another: "
        "visits of this medium only; null: of any."
    ),
]


MinConfidence = Annotated[
    float,
    Field(ge=0, le=1, description="Calls that are attributed with less are not reported."),
]


class SourceCreate(AdminBody):
    """`POST /traffic-sources`."""

    kind: Kind
    name: SourceName
    medium: SourceMedium = None
    conditions: Conditions = Field(default_factory=list)
    min_confidence: MinConfidence = SURE_ENOUGH
    description: Description = ""


class SourceEdit(AdminBody):
    """`PATCH /traffic-sources/{id}`: what is left out stays as it is."""

    name: SourceName | None = None
    medium: SourceMedium = None
    conditions: Conditions | None = None
    min_confidence: MinConfidence | None = None
    description: Description | None = None


class SourceOut(BaseModel):
    """A traffic source."""

    id: str
    kind: Kind
    name: str
    medium: Medium | None
    conditions: list[ConditionBody]
    min_confidence: float
    description: str
    created_at: datetime


class SourcesOut(BaseModel):
    """All traffic sources."""

    traffic_sources: list[SourceOut]


# --- conversions ----------------------------------------------------------------------------------

Value = Annotated[
    float, Field(ge=0, le=1e12, allow_inf_nan=False, description="For calls that have no value.")
]
Currency = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Z]{3})?$"),
    Field(description="ISO 4217, for calls whose value has none."),
]
VendorSecret = Annotated[
    str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[\x21-\x7e]+$")
]
Ga4Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=50)]
ConsentSaid = Annotated[
    Literal["granted", "denied"] | None,
    Field(description="What your visitors have agreed to about advertising; null: nothing said."),
]
ConversionName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
ClickIds = Annotated[
    list[Literal["gclid", "gbraid", "wbraid"]],
    Field(min_length=1, max_length=3, description="The columns of click ids, in this order."),
]
Days = Annotated[
    int, Field(strict=True, ge=1, le=MOST_DAYS, description="How far the file looks back.")
]


class TargetBody(AdminBody):
    """What every target has."""

    url: Url | None = Field(
        default=None,
        description="Of a postback: where to, with macros. Else only for another server that "
        "speaks the same protocol, such as a server-side tag manager.",
    )
    value: Value | None = None
    currency: Currency = ""
    pools: PoolIds = Field(default_factory=list)
    headers: Headers = Field(default_factory=dict)
    rate_limit: RateLimit = 0
    description: Description = ""


class Ga4Create(TargetBody):
    """Events of Google Analytics 4, by the Measurement Protocol."""

    kind: Literal["ga4"]
    measurement_id: Annotated[str, StringConstraints(pattern=r"^G-[A-Z0-9]{4,20}$")]
    api_secret: VendorSecret
    event_name: Ga4Name = "generate_lead"
    consent: ConsentSaid = None


class MetaCreate(TargetBody):
    """Events of Meta's Conversions API."""

    kind: Literal["meta"]
    pixel_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{5,20}$")] = Field(
        description="The dataset."
    )
    access_token: VendorSecret
    event_name: EventName = "Contact"
    send_phone: bool = Field(default=True, description="The caller's number goes along, hashed.")
    test_event_code: Annotated[str, StringConstraints(max_length=50)] = Field(
        default="", description="For trials; without it there are none."
    )


class PostbackCreate(TargetBody):
    """A request to any URL."""

    kind: Literal["postback"]
    url: Url = Field(description="With macros such as `{gclid}`.")
    method: Literal["GET", "POST"] = "GET"
    form: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="", description="Of a POST: `name={macro}&…`."
    )


class GoogleAdsCreate(AdminBody):
    """A file of offline conversions that Google Ads fetches."""

    kind: Literal["google_ads"]
    conversion_name: ConversionName = Field(description="The conversion action, as it is there.")
    value: Value | None = None
    currency: Currency = ""
    days: Days = 30
    click_ids: ClickIds = Field(default_factory=lambda: list(GOOGLE_CLICK_IDS))
    consent: ConsentSaid = None
    description: Description = ""


class MicrosoftAdsCreate(AdminBody):
    """A file of offline conversions that Microsoft Advertising fetches."""

    kind: Literal["microsoft_ads"]
    conversion_name: ConversionName = Field(description="The conversion goal, as it is there.")
    value: Value | None = None
    currency: Currency = ""
    days: Days = 30
    description: Description = ""


ConversionCreate = Annotated[
    Ga4Create | MetaCreate | PostbackCreate | GoogleAdsCreate | MicrosoftAdsCreate,
    Field(discriminator="kind"),
]


class ConversionEdit(AdminBody):
    """`PATCH …/conversions/{id}`: what is left out stays; what its kind lacks is refused."""

    url: Url | None = None
    value: Value | None = None
    currency: Currency | None = None
    pools: PoolIds | None = None
    headers: Headers | None = None
    rate_limit: RateLimit | None = None
    description: Description | None = None
    state: Literal["active", "disabled"] | None = None
    measurement_id: Annotated[str, StringConstraints(pattern=r"^G-[A-Z0-9]{4,20}$")] | None = None
    api_secret: VendorSecret | None = None
    pixel_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{5,20}$")] | None = None
    access_token: VendorSecret | None = None
    event_name: EventName | None = None
    consent: ConsentSaid = None
    send_phone: bool | None = None
    test_event_code: Annotated[str, StringConstraints(max_length=50)] | None = None
    method: Literal["GET", "POST"] | None = None
    form: Annotated[str, StringConstraints(max_length=4000)] | None = None
    conversion_name: ConversionName | None = None
    days: Days | None = None
    click_ids: ClickIds | None = None


class ConversionOut(BaseModel):
    """Where conversions are reported, or a file of them."""

    id: str
    kind: Literal["ga4", "meta", "postback", "google_ads", "microsoft_ads"]
    state: Literal["active", "disabled"]
    disabled_reason: str | None = Field(description="`gone`, `failing`, `operator`.")
    url: str | None = Field(
        description="Where it is sent; of a file where it is fetched with HTTP basic auth."
    )
    settings: dict[str, Any] = Field(description="As they were given; secrets are masked.")
    pools: list[str]
    headers: dict[str, str]
    rate_limit: int
    description: str
    created_at: datetime
    token: str | None = Field(
        default=None, description="Of a file: the password of `url`, told this once."
    )
    secret_url: str | None = Field(
        default=None, description="Of a file: the same with the token in the path, told this once."
    )


class ConversionsOut(BaseModel):
    """All conversions of a source."""

    conversions: list[ConversionOut]
