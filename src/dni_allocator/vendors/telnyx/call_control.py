"""Telnyx Call Control: what its events say, and which commands they are answered with.

Unlike TeXML, where each request is answered with a document, Telnyx posts an event here and takes
commands at its API. The caller's leg is answered, then transferred; a destination that does not
answer leaves it alive, and it is transferred on. What must be known at the next event travels with
the leg as its `client_state`, which comes back with every event, so no store is needed for it.

A call goes by its session, which all its legs share. Commands carry an id made of what they are
for: sent again, Telnyx ignores them.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import orjson

from dni_allocator.domain.call import CallStatus
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.moment import read_instant
from dni_allocator.domain.routing import Recording
from dni_allocator.domain.telephony import Answer, Leg, Report, Ring, e164_of

VENDOR: Final = "telnyx"

_VOICE: Final = "female"
_CHANNELS: Final = {Recording.MONO: "single", Recording.DUAL: "dual"}

_UNANSWERED: Final = {
    "timeout": CallStatus.NO_ANSWER,
    "no_answer": CallStatus.NO_ANSWER,
    "user_busy": CallStatus.BUSY,
    "call_rejected": CallStatus.BUSY,
    "not_found": CallStatus.FAILED,
    "unspecified": CallStatus.FAILED,
}
"""Why a destination's leg ended before anybody was there; any other cause ends a conversation, or
is the caller's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a leg remembers. `following`: which destination rings next."""

    number: str
    caller: str | None
    caller_leg: str
    following: int = 0
    destination: bool = False
    """Whether this is the leg of a destination."""
    then: str = ""
    """What comes when all is said: `connect`, `hang_up`."""

    def packed(self) -> str:
        """As Telnyx keeps it."""
        return base64.b64encode(orjson.dumps(asdict(self))).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `state` is None where the leg has none of ours yet."""

    id: str
    kind: str
    leg: str
    session: str
    incoming: bool
    number: str
    caller: str | None
    cause: str
    at_ms: int | None
    recording_url: str | None
    state: State | None

    @property
    def unanswered(self) -> CallStatus | None:
        """What became of a destination's leg that ended without an answer; None: it had one."""
        return _UNANSWERED.get(self.cause)

    def ring(self) -> Ring:
        """The call it is about."""
        number, caller = self.number, self.caller
        if self.state is not None:
            number, caller = self.state.number, self.state.caller
        return Ring(vendor=VENDOR, call_id=self.session, number=number, caller=caller)

    def report(self, leg: Leg, status: CallStatus | None) -> Report:
        """What it says of the call."""
        ring = self.ring()
        return Report(
            vendor=VENDOR,
            call_id=self.session,
            leg=leg,
            number="" if leg is Leg.RECORDING else ring.number,
            caller=ring.caller,
            status=status,
            at_ms=self.at_ms,
            recording_url=self.recording_url,
        )


@dataclass(frozen=True, slots=True)
class Command:
    """One POST to the API, relative to its base."""

    path: str
    body: Mapping[str, object] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """What is to be done."""
        return self.path.rpartition("/")[2]


def event_of(body: bytes) -> Event:
    """Read an event. Raises `InvalidRequest` for what is none."""
    try:
        data: Mapping[str, Any] = orjson.loads(body)["data"]
        payload: Mapping[str, Any] = data["payload"]
        kind, event_id = _named(data, "event_type"), _named(data, "id")
        session = _named(payload, "call_session_id")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        message = "This is no event of Call Control."
        raise InvalidRequest(message) from error
    return Event(
        id=event_id,
        kind=kind,
        leg=_text(payload, "call_control_id"),
        session=session,
        incoming=payload.get("direction") == "incoming",
        number=e164_of(_text(payload, "to")) or "",
        caller=e164_of(_text(payload, "from")),
        cause=_text(payload, "hangup_cause"),
        at_ms=read_instant(_text(data, "occurred_at")),
        recording_url=_recording(payload),
        state=_state(_text(payload, "client_state")),
    )


def reject(event: Event) -> Command:
    """Do not take the call. The end of the leg is told with our state, so it is noted."""
    body = {"cause": "CALL_REJECTED", "client_state": _first(event).packed()}
    return _command(event.leg, "reject", body)


def pick_up(event: Event) -> Command:
    """Answer the caller's leg: Telnyx takes no other command before."""
    return _command(event.leg, "answer", {"client_state": _first(event).packed()})


def say(state: State, text: str, *, then: str, language: str | None) -> Command:
    """Say something to the caller, and `then` go on."""
    after = replace(state, then=then)
    body: dict[str, object] = {
        "payload": text,
        "voice": _VOICE,
        "client_state": after.packed(),
    }
    if language is not None:
        body |= {"language": language, "service_level": "premium"}
    return _command(state.caller_leg, "speak", body, about=then)


def transfer(state: State, destination: str, answer: Answer) -> Command:
    """Ring a destination, and connect the two when it answers.

    A whisper is not said: `transfer` plays files only. TeXML says it.
    """
    ring = Ring(vendor=VENDOR, call_id="", number=state.number, caller=state.caller)
    target = replace(state, following=state.following + 1, destination=True, then="")
    body: dict[str, object] = {
        "to": destination,
        "timeout_secs": answer.routing.ring_timeout_s,
        "target_leg_client_state": target.packed(),
    }
    caller_id = answer.caller_id(ring)
    if caller_id is not None:
        body["from"] = caller_id
    if answer.routing.record in _CHANNELS:
        body |= {
            "record": "record-from-answer",
            "record_channels": _CHANNELS[answer.routing.record],
            "record_format": "mp3",
        }
    return _command(state.caller_leg, "transfer", body, about=str(state.following))


def hang_up(state: State) -> Command:
    """End the caller's call."""
    return _command(state.caller_leg, "hangup", {})


def _first(event: Event) -> State:
    """What the caller's leg remembers from its first event on."""
    ring = event.ring()
    return State(number=ring.number, caller=ring.caller, caller_leg=event.leg)


def _command(leg: str, action: str, body: Mapping[str, object], *, about: str = "") -> Command:
    command_id = str(uuid5(NAMESPACE_URL, f"{leg} {action} {about}"))
    return Command(
        f"/calls/{quote(leg, safe=':')}/actions/{action}", {**body, "command_id": command_id}
    )


def _named(found: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = found[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _recording(payload: Mapping[str, Any]) -> str | None:
    """A link to a recording: one that lasts, where the account has such, else for ten minutes."""
    for kind in ("public_recording_urls", "recording_urls"):
        urls = payload.get(kind)
        if isinstance(urls, Mapping):
            for each in ("mp3", "wav"):
                if isinstance(urls.get(each), str):
                    return str(urls[each])
    return None


def _state(text: str) -> State | None:
    """Our state, or None for none or somebody else's: Telnyx passes on whatever was set."""
    try:
        told = orjson.loads(base64.b64decode(text, validate=True))
        return State(**told)
    except (binascii.Error, ValueError, TypeError):
        return None
