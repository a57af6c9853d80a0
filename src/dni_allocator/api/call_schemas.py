"""The shapes of calls, as backends send and read them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from dni_allocator.api.schemas import AdminBody, PhoneText
from dni_allocator.domain.call import CallStatus

Provider = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$"),
    Field(description="Who carries the call: `twilio`, `telnyx`, your own name for it."),
]
ProviderCallId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


def _link(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "Not an http or https address."
        raise ValueError(message)
    return value


class CallCreate(AdminBody):
    """`POST /calls`."""

    number: PhoneText = Field(description="The dialed number, E.164; the plus may be left out.")
    caller: PhoneText | None = Field(
        default=None, description="Who calls; left out: they withhold their number."
    )
    provider: Provider | None = None
    provider_call_id: ProviderCallId | None = Field(
        default=None, description="The call's name there: the same one is recorded once."
    )
    started_at: AwareDatetime | None = Field(
        default=None, description="When it rang, with an offset; left out: now."
    )


class CallEdit(AdminBody):
    """`PATCH /calls/{id}`: what became known. What is left out or null stays as it is."""

    status: CallStatus | None = Field(
        default=None, description="Never goes back: what comes late is ignored."
    )
    answered_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    duration_s: Annotated[int, Field(strict=True, ge=0, le=604_800)] | None = Field(
        default=None, description="How long they talked."
    )
    outcome: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    value: Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=4)] | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None, description="ISO 4217."
    )
    recording_url: (
        Annotated[str, StringConstraints(max_length=2048), AfterValidator(_link)] | None
    ) = None


class ClaimOut(BaseModel):
    """Somebody it may have been, as ranked when the call was recorded."""

    visitor_id: str
    lease_id: str | None
    basis: str
    confidence: float
    reason: str


class CallAttributionOut(BaseModel):
    """Whose number it was when the call was recorded; it never changes."""

    basis: Literal["live", "closing", "ended", "caller_memory", "overflow", "none"]
    confidence: float
    visitor_id: str | None
    lease_id: str | None
    url: str | None
    referrer: str | None
    fields: dict[str, str]
    candidates: list[ClaimOut]


class CallOut(BaseModel):
    """A call."""

    id: str
    pool_id: str
    number: str
    caller: str | None
    provider: str | None
    provider_call_id: str | None
    route_to: str = Field(description="Where the call belongs.")
    status: CallStatus
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    duration_s: int | None
    first_time_caller: bool
    source: str | None = Field(description="Where the visit came from: `google`, `organic`, …")
    source_name: str | None = Field(description="The same more closely: a site, a campaign.")
    source_id: str | None = Field(description="Your traffic source that reports the call.")
    medium: str | None
    outcome: str | None
    value: float | None
    currency: str | None
    recording_url: str | None
    qualified: bool
    updated_at: datetime
    attribution: CallAttributionOut


class CallPageOut(BaseModel):
    """Some calls, newest first. A page may be short, even empty, and not be the last."""

    calls: list[CallOut]
    next_cursor: str | None
