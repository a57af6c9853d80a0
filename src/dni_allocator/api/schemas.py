"""The shapes of requests and answers, as `openapi.yaml` shows them.

Bodies of the tag tolerate fields they do not know (an older service meets a newer tag); bodies of
operators do not (a typing error must not be silently ignored).
"""

from datetime import datetime
from math import isfinite
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

CLIENT_ID = r"^\.*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*$"
"""Unreserved characters of a URL (RFC 3986), and not only dots: in a path these are folders."""

ClientId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=CLIENT_ID),
    Field(description="Made by the client: 128 random bits, base64url. Unguessable, or shared."),
]
PhoneText = Annotated[str, StringConstraints(min_length=1, max_length=40)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _as_text(value: object) -> object:
    """Numbers and booleans of a data layer become their JSON text; all else must be text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return str(value)
    return value  # NaN and Infinity too: pydantic's parser takes them, JSON has none


# The constraint first: behind a validator of our own, pydantic would check it in Python, too.
FieldValue = Annotated[str, StringConstraints(max_length=2048), BeforeValidator(_as_text)]


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
    heartbeat_s: int | None = Field(
        default=None, description="Seconds to the next heartbeat from now on."
    )
    gone: bool | None = Field(default=None, description="true: assign again.")


class AdminBody(BaseModel):
    """Bodies of operators refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolRefOut(BaseModel):
    """The pool of an answer."""

    id: str
    name: str
    campaign: str | None


class OriginOut(BaseModel):
    """Where a visit came from."""

    source: str | None = Field(description="`google`, `organic`, `direct`, …")
    source_name: str | None = Field(description="The same more closely: a site, a campaign.")
    source_id: str | None = Field(description="Your traffic source of it, if the pool names one.")
    medium: str | None = Field(description="`paid`, `organic`, `email`, …")
    told_by: str | None = Field(description="The evidence: a click id, `utm`, `referrer`, …")


class CandidateOut(OriginOut):
    """Somebody it may have been."""

    visitor_id: str
    lease_id: str | None
    destination: str
    basis: str
    confidence: float
    reason: str = Field(description="A sentence for people.")
    assigned_at: datetime
    ended_at: datetime | None
    url: str | None
    referrer: str | None
    fields: dict[str, str]


class AttributionOut(OriginOut):
    """Whose number it was."""

    number: str
    at: datetime
    basis: Literal["live", "closing", "ended", "caller_memory", "overflow", "none"]
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


class AmpNumberOut(BaseModel):
    """What the AMP component `amp-call-tracking` wants."""

    phoneNumber: str = Field(description="E.164.")  # noqa: N815 - AMP's name
    formattedPhoneNumber: str  # noqa: N815 - AMP's name


class IntegrationOut(BaseModel):
    """How to put the tag on a site."""

    html: str = Field(description="One script element; follows edits of the pool by itself.")
    pinned_html: str = Field(
        description="The same with a fixed version and its hash; renew it after edits."
    )
    tag_manager: str = Field(description="For a Custom HTML tag of Google Tag Manager.")
    wordpress: str = Field(description="PHP for a theme's functions.php or a small plugin.")
    react: str = Field(description="A component that swaps after hydration.")
    amp: str = Field(description="For each destination; AMP pages run no script of ours.")
    hiding_css: str = Field(
        description="Optional: elements with `data-dni-hide` wait for the number, at most 1 s."
    )
    version: str
    integrity: str
