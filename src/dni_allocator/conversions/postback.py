"""Postbacks: a qualified call as a request to any URL, with macros such as `{gclid}`.

Trackers and affiliate networks agree on little more than this: a URL in which they name what they
want. Values are percent-encoded, so none can add a parameter or leave its place.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from dni_allocator.domain.conversion import Conversion, PostbackTarget
from dni_allocator.domain.delivery import Message, Unsendable
from dni_allocator.domain.events import Event, iso_utc
from dni_allocator.domain.webhook import Endpoint, Verdict, verdict

_MACRO: Final = re.compile(r"\{([A-Za-z0-9_.-]{1,64})\}")
_HOST_AND_BEFORE: Final = re.compile(r"[^/]*//[^/?#]*")

MACROS: Final[Mapping[str, Callable[[Conversion, PostbackTarget], str]]] = {
    "event_id": lambda call, _: call.event_id,
    "call_id": lambda call, _: call.call_id,
    "pool_id": lambda call, _: call.pool_id,
    "number": lambda call, _: call.number,
    "caller": lambda call, _: call.caller,
    "caller_sha256": lambda call, _: _hashed(call.caller),
    "visitor_id": lambda call, _: call.visitor_id,
    "lease_id": lambda call, _: call.lease_id,
    "source": lambda call, _: call.source_name,
    "medium": lambda call, _: call.medium,
    "started_at": lambda call, _: iso_utc(call.started_ms),
    "timestamp": lambda call, _: str(call.started_ms // 1000),
    "duration_s": lambda call, _: "" if call.duration_s is None else str(call.duration_s),
    "outcome": lambda call, _: call.outcome,
    "value": lambda call, target: _amount(call.worth(target)[0]),
    "currency": lambda call, target: call.worth(target)[1],
    "url": lambda call, _: call.url,
    "referrer": lambda call, _: call.referrer,
}
"""What is known of a call. Any other name is that of a captured field, or of a parameter in the
URL of the visitor's page; empty where nobody told it."""


class Postback:
    """The dialect of postbacks (see `webhooks.ports.Dialect`)."""

    def message(
        self,
        endpoint: Endpoint,
        events: Sequence[Event],
        *,
        now_s: float,  # noqa: ARG002 -- the dialects' interface
        trial: bool = False,  # noqa: ARG002 -- nobody could tell it from the real thing
    ) -> Message | Unsendable:
        """The request for a qualified call."""
        target = endpoint.target
        if not isinstance(target, PostbackTarget):
            return Unsendable("not a target of this kind")
        conversion = Conversion.of(events[0])
        headers = {**dict(endpoint.headers), "user-agent": "dni-allocator"}
        if target.method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
        return Message(
            id=conversion.event_id,
            method=target.method,
            url=filled(endpoint.url, conversion, target),
            headers=headers,
            body=filled(target.form, conversion, target).encode() if target.form else b"",
        )

    def verdict(self, status: int | None, body: bytes) -> Verdict:
        """As of any webhook: the body of an answer means nothing."""
        del body
        return verdict(status)


def filled(template: str, conversion: Conversion, target: PostbackTarget) -> str:
    """A URL or a form with its macros replaced."""
    told = conversion.told

    def value(found: re.Match[str]) -> str:
        name = found[1]
        known = MACROS.get(name)
        text = known(conversion, target) if known else told.get(name) or told.get(name.lower())
        return quote(text, safe="")

    return _MACRO.sub(value, template)


def problem_of(template: str) -> str | None:
    """What is wrong with a URL with macros, as one sentence for its author, or None."""
    rest = _MACRO.sub("", template)
    if "{" in rest or "}" in rest:
        return "A macro is a name in braces: letters, digits, _ - and dots."
    before = _HOST_AND_BEFORE.match(template)
    if before and _MACRO.search(before[0]):
        return "Scheme and host are fixed: macros stand in the path and the query."
    return None


def _hashed(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest() if number else ""


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
