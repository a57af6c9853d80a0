"""A call: one ring of a number, whose number it was then, and what came of it.

Owns what a call is, how an update changes it, which events that makes, and the rule by which a call
qualifies. The attribution is frozen when the call is recorded: later leases change nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from dni_allocator.domain.attribution import Basis
from dni_allocator.domain.events import iso_utc
from dni_allocator.domain.pool import PoolSettings

STARTED: Final = "call.started"
UPDATED: Final = "call.updated"
COMPLETED: Final = "call.completed"
QUALIFIED: Final = "call.qualified"


class CallStatus(StrEnum):
    """How far a call got. A status never goes back: see `changed`."""

    RINGING = "ringing"
    ANSWERED = "answered"
    COMPLETED = "completed"
    """It was answered, and is over."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Whether the call is over."""
        return self not in {CallStatus.RINGING, CallStatus.ANSWERED}

    @property
    def step(self) -> int:
        """Ringing, answered, over: 0, 1, 2."""
        return 2 if self.final else int(self is CallStatus.ANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call to record. Numbers are E.164; no caller: they withhold their number.

    `provider` and `provider_call_id`, given both, make the recording idempotent. `started_ms` None:
    now.
    """

    number: str
    caller: str | None = None
    provider: str = ""
    provider_call_id: str = ""
    started_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUpdate:
    """What became known of a call; None: nothing new about that."""

    status: CallStatus | None = None
    answered_ms: int | None = None
    ended_ms: int | None = None
    duration_s: int | None = None
    outcome: str | None = None
    value: Decimal | None = None
    currency: str | None = None
    recording_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A candidate of the frozen attribution, without what their page told."""

    visitor_id: str
    lease_id: str
    """Empty: they saw a shared number."""
    basis: Basis
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as recorded. Texts are empty where there is no such thing. Times in ms since 1970.

    `claims` are the candidates, best first; the texts beside them are of the best one.
    """

    id: str
    pool_id: str
    number: str
    caller: str | None
    provider: str = ""
    provider_call_id: str = ""
    route_to: str
    started_ms: int
    basis: Basis
    confidence: float
    visitor_id: str = ""
    lease_id: str = ""
    url: str = ""
    referrer: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    first_time_caller: bool = False
    """Nobody with this number called the pool before, as far as it is remembered."""
    source: str = ""
    """Where the visit came from (`domain.traffic_source`); empty: nobody is known."""
    source_name: str = ""
    source_id: str = ""
    """The operator's traffic source that reports it, if it is sure enough for that."""
    medium: str = ""
    status: CallStatus = CallStatus.RINGING
    answered_ms: int | None = None
    ended_ms: int | None = None
    duration_s: int | None = None
    outcome: str = ""
    value: Decimal | None = None
    currency: str = ""
    recording_url: str = ""
    qualified: bool = False
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a call is worth something: a completed one that is long enough, and perhaps more."""

    min_duration_s: int = 60
    outcomes: tuple[str, ...] = ()
    """Any of these; empty: whatever came of it."""
    first_time_only: bool = False

    @classmethod
    def of(cls, settings: PoolSettings) -> "Rule":
        """The rule of a pool."""
        return cls(
            min_duration_s=settings.qualify_min_duration_s,
            outcomes=settings.qualify_outcomes,
            first_time_only=settings.qualify_first_time_only,
        )

    def holds(self, call: Call) -> bool:
        """Whether the call qualifies. A completed call of unknown length lasted 0 s."""
        return (
            call.status is CallStatus.COMPLETED
            and (call.duration_s or 0) >= self.min_duration_s
            and (not self.outcomes or call.outcome in self.outcomes)
            and (call.first_time_caller or not self.first_time_only)
        )


def without_visitor(call: Call, visitor_id: str) -> Call:
    """The call without one visitor: of the best candidate nothing stays but that there was a call.

    Then its caller is that person too, and what they said. `call` itself if it does not name them.
    """
    claims = tuple(claim for claim in call.claims if claim.visitor_id != visitor_id)
    if call.visitor_id != visitor_id:
        return call if len(claims) == len(call.claims) else replace(call, claims=claims)
    return replace(
        call,
        caller=None,
        visitor_id="",
        url="",
        referrer="",
        fields={},
        claims=claims,
        recording_url="",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls to list; None: all. `until_ms` is excluded."""

    pool_ids: tuple[str, ...] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    number: str | None = None
    caller: str | None = None
    visitor_id: str | None = None
    source: str | None = None
    """The kind of source, its name, or the id of the operator's."""
    status: CallStatus | None = None
    outcome: str | None = None
    qualified: bool | None = None
    min_duration_s: int | None = None

    def admits(self, call: Call) -> bool:
        """Whether a call is wanted, its pool and time apart: the lists see to these."""
        return (
            all(
                wanted is None or getattr(call, name) == wanted
                for name in _COMPARED
                for wanted in (getattr(self, name),)
            )
            and (
                self.source is None
                or self.source in {call.source, call.source_name, call.source_id}
            )
            and (self.min_duration_s is None or (call.duration_s or 0) >= self.min_duration_s)
        )


_COMPARED: Final = ("number", "caller", "visitor_id", "status", "outcome", "qualified")


def changed(
    call: Call, update: CallUpdate, *, rule: Rule, now_ms: int
) -> tuple[Call, tuple[str, ...]]:
    """The call after an update, and the types of the events to send, in order.

    A status that comes late (ringing after answered) is ignored: providers' messages overtake
    each other. A call completes once and qualifies once, whatever is corrected afterwards. An
    update that says nothing new changes nothing.
    """
    told = {
        name: value
        for name in ("answered_ms", "ended_ms", "duration_s", "outcome", "value", "currency",
                     "recording_url")
        if (value := getattr(update, name)) is not None
    }  # fmt: skip
    after = replace(call, **told)
    if update.status is not None and update.status.step >= call.status.step:
        after = replace(after, status=update.status)
    if after.status is CallStatus.ANSWERED and after.answered_ms is None:
        after = replace(after, answered_ms=now_ms)
    if after.status.final and after.ended_ms is None:
        after = replace(after, ended_ms=now_ms)
    if not after.qualified and rule.holds(after):
        after = replace(after, qualified=True)
    if after == call:
        return call, ()
    events = []
    if after.status.final and not call.status.final:
        events.append(COMPLETED)
    if after.qualified and not call.qualified:
        events.append(QUALIFIED)
    # Never backwards, also when the clock was set.
    updated_ms = max(now_ms, call.updated_ms)
    return replace(after, updated_ms=updated_ms), tuple(events or [UPDATED])


def entry(kind: str, call: Call) -> dict[str, str]:
    """The outbox entry of an event about a call: the whole call as it is after the event.

    It happened when it became known, so that of two events the later one knows more.
    """
    told = {"url": call.url, "referrer": call.referrer, "fields": call.fields}
    facts: dict[str, object] = {
        "call_id": call.id,
        "provider": call.provider,
        "provider_call_id": call.provider_call_id,
        "caller": call.caller,
        "first_time_caller": call.first_time_caller,
        "status": call.status,
        "started_at": iso_utc(call.started_ms),
        "answered_at": None if call.answered_ms is None else iso_utc(call.answered_ms),
        "ended_at": None if call.ended_ms is None else iso_utc(call.ended_ms),
        "duration_s": call.duration_s,
        "basis": call.basis,
        "confidence": call.confidence,
        "source": call.source,
        "source_name": call.source_name,
        "source_id": call.source_id,
        "medium": call.medium,
        "outcome": call.outcome,
        "value": None if call.value is None else float(call.value),
        "currency": call.currency,
        "recording_url": call.recording_url,
        "qualified": call.qualified,
    }
    return {
        "t": kind,
        "p": call.pool_id,
        "n": call.number,
        "v": call.visitor_id,
        "d": call.route_to,
        "f": call.lease_id.rpartition("_")[2],
        "o": call.source_id,
        "w": str(call.updated_ms),
        "x": json.dumps(told, separators=(",", ":")),
        "j": json.dumps(
            {name: None if value == "" else value for name, value in facts.items()},
            separators=(",", ":"),
        ),
    }


def pool_of_call(call_id: str) -> str | None:
    """The pool in a call's id; None for what cannot be one."""
    pool, _, rest = call_id.removeprefix("call_").rpartition("_")
    if not call_id.startswith("call_") or not pool or len(rest) != 16:  # noqa: PLR2004 -- services.ids
        return None
    return f"pool_{pool}"
