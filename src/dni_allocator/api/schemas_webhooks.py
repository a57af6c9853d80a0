"""The shapes of webhook endpoints, their deliveries, and events for pull consumers."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from dni_allocator.api.schemas import AdminBody, FieldName
from dni_allocator.domain.webhook import LARGEST_BATCH

Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Secret = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="`whsec_` (HMAC) or `whsk_` (ed25519) and base64; left out: one is made."),
]
SignatureKind = Literal["hmac-sha256", "ed25519"]
BodyKind = Annotated[
    Literal["single", "json", "ndjson"],
    Field(description="One event a request, or batches as a JSON array or as lines of JSON."),
]
EventTypes = Annotated[
    list[FieldName], Field(max_length=50, description="Types to send; empty: all.")
]
PoolIds = Annotated[
    list[FieldName],
    Field(max_length=200, description="Pools whose events to send; empty: all, and of no pool."),
]
Headers = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=1000)]],
    Field(max_length=20, description="Sent with each request; kept readable, as the secret is."),
]
RateLimit = Annotated[
    int, Field(strict=True, ge=0, le=10_000, description="Most requests a second; 0: no limit.")
]
BatchSize = Annotated[
    int, Field(strict=True, ge=1, le=LARGEST_BATCH, description="Most events in one request.")
]
Description = Annotated[str, StringConstraints(max_length=500)]


class EndpointCreate(AdminBody):
    """`POST /webhooks`."""

    url: Url
    secret: Secret | None = None
    signature: SignatureKind = Field(
        default="hmac-sha256", description="What kind of secret to make."
    )
    event_types: EventTypes = Field(default_factory=list)
    pools: PoolIds = Field(default_factory=list)
    headers: Headers = Field(default_factory=dict)
    rate_limit: RateLimit = 0
    body: BodyKind = "single"
    batch_size: BatchSize = LARGEST_BATCH
    description: Description = ""
    start: Literal["now", "oldest"] = Field(
        default="now", description="`oldest`: first of all what is still kept from before."
    )


class EndpointEdit(AdminBody):
    """`PATCH /webhooks/{id}`: what is left out stays as it is."""

    url: Url | None = None
    event_types: EventTypes | None = None
    pools: PoolIds | None = None
    headers: Headers | None = None
    rate_limit: RateLimit | None = None
    body: BodyKind | None = None
    batch_size: BatchSize | None = None
    description: Description | None = None
    state: Literal["active", "disabled"] | None = None


class EndpointOut(BaseModel):
    """A webhook endpoint."""

    id: str
    url: str
    secret: str | None = Field(
        description="null with ed25519: the private key stays here; and for keys without `admin`."
    )
    public_key: str | None = Field(description="`whpk_…` with ed25519, to check signatures with.")
    signature: SignatureKind
    old_secrets_until: list[datetime] = Field(
        description="Replaced secrets that still sign, and until when."
    )
    event_types: list[str]
    pools: list[str]
    headers: dict[str, str]
    rate_limit: int
    body: BodyKind
    batch_size: int
    description: str
    state: Literal["active", "disabled"]
    disabled_reason: str | None = Field(description="`gone`, `failing`, `operator`.")
    created_at: datetime


class EndpointsOut(BaseModel):
    """All webhook endpoints."""

    webhooks: list[EndpointOut]


class RotateBody(AdminBody):
    """`POST /webhooks/{id}/rotate`."""

    secret: Secret | None = None
    signature: SignatureKind | None = Field(
        default=None, description="What kind of secret to make; left out: as before."
    )
    overlap_s: Annotated[int, Field(strict=True, ge=0, le=30 * 86_400)] = Field(
        default=86_400, description="How long the secret before signs too, seconds."
    )


class ExampleBody(AdminBody):
    """`POST /webhooks/{id}/example`."""

    event_type: FieldName = "number.assigned"


class AttemptOut(BaseModel):
    """One delivery attempt."""

    at: datetime
    message_id: str = Field(description="`webhook-id` of the request.")
    event_id: str = Field(description="The event, or the first of the batch.")
    events: int
    attempt: int
    verdict: Literal["taken", "failed", "overloaded", "refused", "gone"]
    status: int | None
    failure: str | None = Field(
        description="Why nothing came back: timeout, refused, connection, url."
    )
    took_ms: int
    request_headers: dict[str, str]
    response_headers: dict[str, str]
    response_excerpt: str | None


class StandingOut(BaseModel):
    """How an endpoint stands."""

    retrying: int
    dead_letters: int
    unread_since: datetime | None = Field(
        description="When the oldest event happened that it is not done with; null: none waits."
    )
    last_taken_at: datetime | None
    failing_since: datetime | None
    last_failed_at: datetime | None


class DeliveriesOut(BaseModel):
    """The newest attempts, newest first."""

    standing: StandingOut
    deliveries: list[AttemptOut]


class DeadLetterOut(BaseModel):
    """An event its endpoint did not take."""

    since: datetime
    reason: str
    attempts: int
    event: dict[str, Any]


class DeadLettersOut(BaseModel):
    """The newest dead letters, newest first."""

    dead_letters: list[DeadLetterOut]


class ReplayBody(AdminBody):
    """`POST /webhooks/{id}/replay`: exactly one of the three."""

    event_ids: Annotated[list[FieldName], Field(min_length=1, max_length=1000)] | None = None
    since: AwareDatetime | None = Field(default=None, description="Written from this instant on.")
    until: AwareDatetime | None = Field(default=None, description="Up to this one; left out: now.")
    dead_letters: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.event_ids is not None, self.since is not None, self.dead_letters is not None]
        if sum(ways) != 1 or (self.until is not None and self.since is None):
            message = "exactly one of event_ids, since (with until) and dead_letters"
            raise ValueError(message)
        return self


class ReplayOut(BaseModel):
    """What is being sent again."""

    replayed: int
    missing: list[str] = Field(description="Ids that are not kept any more.")
    go_on_since: datetime | None = Field(description="Not all fitted: repeat with this `since`.")


class EventsOut(BaseModel):
    """Some events, oldest first."""

    events: list[dict[str, Any]] = Field(description="As they are delivered to endpoints.")
    cursor: str = Field(description="Give it back to go on; also when there were none.")
    has_more: bool = Field(description="true: ask again at once.")
