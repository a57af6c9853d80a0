"""The shapes of what backends ask with a secret key: assign for others, sites, explanations."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dni_allocator.api.schemas import (
    AdminBody,
    AssignBody,
    AssignOut,
    AttributionOut,
    ClientId,
    PhoneText,
    ProblemOut,
)
from dni_allocator.api.schemas_keys import OldKeyOut

PoolId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class BackendAssignBody(AssignBody):
    """An assign request on a visitor's behalf: what their browser would have said itself."""

    # Unlike the tag's: who writes a request by hand wants to hear of a typing error.
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, StringConstraints(max_length=128)] = Field(
        default="", description="Publishable key of a pool or a site; or give `pool_id`."
    )
    pool_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    user_agent: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="", description="Of the visitor's browser; robots get no number."
    )
    purpose: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="", description="`Sec-Purpose` of the visitor's request."
    )
    address: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="", description="IP address of the visitor, for the pool's limits; not kept."
    )

    @model_validator(mode="after")
    def _names_a_pool(self) -> "BackendAssignBody":
        if not self.key and not self.pool_id:
            message = "key or pool_id is needed"
            raise ValueError(message)
        return self


class BulkRowBody(BackendAssignBody):
    """One row of `POST /assign/bulk`."""

    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class BulkResultOut(BaseModel):
    """The answer to one row: an assignment, or a problem."""

    request_id: str | None = Field(description="Null where the row had none that can be read.")
    assignment: AssignOut | None = None
    problem: ProblemOut | None = None


class BulkOut(BaseModel):
    """The answers, in the order of the rows."""

    results: list[BulkResultOut]


class RenderedOut(AssignOut):
    """An assignment for a page that a backend renders."""

    embed: str = Field(
        description="Element for the page's HTML: the tag goes on from it, without a request."
    )


class AttributionRowBody(AdminBody):
    """One row of `POST /attribution/batch`: a call to a number."""

    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Comes back with the answer."
    )
    number: PhoneText = Field(description="The dialed number, E.164; the plus may be left out.")
    at: AwareDatetime | None = Field(
        default=None, description="Instant of the call, with an offset; left out: now."
    )
    caller: PhoneText | None = Field(default=None, description="Who called.")


class AttributionResultOut(BaseModel):
    """The answer to one row: an attribution, or a problem."""

    request_id: str | None
    attribution: AttributionOut | None = None
    problem: ProblemOut | None = None


class AttributionBatchOut(BaseModel):
    """The answers, in the order of the rows."""

    results: list[AttributionResultOut]


SiteName = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class SiteCreate(AdminBody):
    """`POST /sites`."""

    name: SiteName
    pools: Annotated[list[PoolId], Field(min_length=1, max_length=20)] = Field(
        description="Tried in this order."
    )


class SiteEdit(AdminBody):
    """`PATCH /sites/{id}`: what is left out stays as it is."""

    name: SiteName | None = None
    pools: Annotated[list[PoolId], Field(min_length=1, max_length=20)] | None = None


class SiteOut(BaseModel):
    """Several pools behind one publishable key."""

    id: str
    key: str
    name: str
    pools: list[str]
    old_keys: list[OldKeyOut] = Field(description="Replaced keys that still work.")
    created_at: datetime


class SitesOut(BaseModel):
    """All sites."""

    sites: list[SiteOut]


class ExplainQuery(BaseModel):
    """`GET /pools/{id}/explain`: a visitor. All other parameters are captured fields."""

    model_config = ConfigDict(extra="allow", frozen=True)

    destination: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        default=None, description="Left out: the pool's default."
    )
    visitor_id: ClientId | None = None
    origin: Annotated[str, StringConstraints(max_length=300)] | None = None
    user_agent: Annotated[str, StringConstraints(max_length=2048)] | None = None
    purpose: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="`Sec-Purpose` of the request."
    )
    address: Annotated[str, StringConstraints(max_length=64)] | None = None
    url: Annotated[str, StringConstraints(max_length=4096)] | None = None
    referrer: Annotated[str, StringConstraints(max_length=4096)] | None = None


class CheckOut(BaseModel):
    """One question, in the order they are asked."""

    name: str
    passed: bool
    detail: str


class PlaceOut(BaseModel):
    """Where the numbers of a shelf belong."""

    model_config = ConfigDict(extra="ignore")

    type: str
    country: str
    area_code: str
    region: str
    rate_centre: str
    latitude: float | None
    longitude: float | None


class ShelfOut(BaseModel):
    """A shelf that fits the destination, in the order they are tried."""

    shelf: str
    rank: int = Field(description="Shelves of equal rank count as one.")
    tier: str
    distance_km: float | None
    place: PlaceOut | None
    available: int
    next_number: str | None


class ExplanationOut(BaseModel):
    """What a described visitor would be given, and why."""

    destination: str
    status: Literal["leased", "overflow", "original"]
    reason: str
    number: str | None = Field(description="Null where nothing is leased, or chance decides.")
    checks: list[CheckOut]
    shelves: list[ShelfOut]
    pool: dict[str, Any] = Field(description="How full the pool is, and what follows from it.")
