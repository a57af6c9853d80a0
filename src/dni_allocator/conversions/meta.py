"""Meta: a qualified call as an event of the Conversions API.

After https://developers.facebook.com/documentation/ads-commerce/conversions-api (pages
`using-the-api`, `parameters/server-event`, `parameters/customer-information-parameters`,
`parameters/fbp-and-fbc`) and https://developers.facebook.com/docs/graph-api/guides/error-handling,
seen in November 2026:

- POST to `/<version>/<pixel>/events?access_token=…` with `data`, here always one event: a bad one
  among several would have them all refused.
- `action_source` is `phone_call`. `event_time` is in seconds and may lie seven days back.
- Of two events with the same `event_name` and `event_id` within 48 hours the first counts, so a
  repeated delivery counts once.
- `ph` is the number with its country code, digits only, hashed by SHA-256. `fbc` and `fbp` are the
  cookies as they are; without the cookie `fbc` is made of `fbclid`: `fb.1.<ms>.<fbclid>`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import orjson

from dni_allocator.domain.conversion import Conversion, MetaTarget
from dni_allocator.domain.delivery import Message, Unsendable
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import Endpoint, Verdict, verdict

GRAPH_VERSION: Final = "v26.0"
"""The newest of 2026-11; each is served for two years at least."""

_TOO_MANY: Final = frozenset({4, 17, 32, 341, 613})
_TOO_MANY_OF_ADS: Final = range(80_000, 80_015)
_A_PERSON_MENDS: Final = frozenset({1, 2, 3, 10, 102, 104, 190, *range(200, 300)})
_NO_SUCH_OBJECT: Final = (100, 33)


def url_of(pixel_id: str, *, version: str = GRAPH_VERSION) -> str:
    """Where events of a dataset go, without the token."""
    return f"https://graph.facebook.com/{version}/{pixel_id}/events"


class Meta:
    """The dialect of the Conversions API (see `webhooks.ports.Dialect`)."""

    def message(
        self,
        endpoint: Endpoint,
        events: Sequence[Event],
        *,
        now_s: float,  # noqa: ARG002 -- the dialects' interface
        trial: bool = False,
    ) -> Message | Unsendable:
        """The event for a qualified call."""
        target = endpoint.target
        if not isinstance(target, MetaTarget):
            return Unsendable("not a target of this kind")
        if trial and not target.test_event_code:
            return Unsendable("A trial needs test_event_code, or it would count.")
        conversion = Conversion.of(events[0])
        event = event_of(conversion, target)
        if not event["user_data"]:
            return Unsendable("nobody is known of whom to tell")
        body: dict[str, object] = {"data": [event]}
        if trial:
            body["test_event_code"] = target.test_event_code
        return Message(
            id=conversion.event_id,
            url=f"{endpoint.url}?{urlencode({'access_token': target.access_token})}",
            headers={
                **dict(endpoint.headers),
                "content-type": "application/json",
                "user-agent": "dni-allocator",
            },
            body=orjson.dumps(body),
            secrets=(target.access_token,),
        )

    def verdict(self, status: int | None, body: bytes) -> Verdict:
        """By the error's code, since nearly all of them come as 400.

        | answer | verdict | |
        |---|---|---|
        | 2xx with `events_received` from 1 up | TAKEN | |
        | `is_transient`, codes 1 and 2 | FAILED | theirs; retried |
        | codes 4, 17, 32, 341, 613, 80000 to 80014 | OVERLOADED | too many calls; retried |
        | codes 3, 10, 102, 104, 190, 200 to 299, 100 with subcode 33 | FAILED | token, permission
        or dataset: retried until a person has mended it |
        | any other code | REFUSED | this event is wrong and never changes |
        | no code | as of any webhook | |
        """
        said = _parsed(body)
        if status is not None and 200 <= status <= 299:  # noqa: PLR2004 -- success
            received = said.get("events_received")
            return Verdict.TAKEN if isinstance(received, int) and received > 0 else Verdict.FAILED
        error = said.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or not isinstance(code, int):
            return verdict(status)
        if code in _TOO_MANY or code in _TOO_MANY_OF_ADS:
            return Verdict.OVERLOADED
        mendable = code in _A_PERSON_MENDS or (code, error.get("error_subcode")) == _NO_SUCH_OBJECT
        return Verdict.FAILED if error.get("is_transient") or mendable else Verdict.REFUSED


def event_of(conversion: Conversion, target: MetaTarget) -> Mapping[str, object]:
    """The server event."""
    value, currency = conversion.money(target)
    user = {
        "ph": [_hashed(conversion.caller)] if conversion.caller and target.send_phone else None,
        "external_id": [_hashed(conversion.visitor_id)] if conversion.visitor_id else None,
        "fbc": fbc_of(conversion),
        "fbp": conversion.fields.get("_fbp", ""),
    }
    custom: dict[str, object] = {
        "value": value,
        "currency": currency,
        "call_duration_s": conversion.duration_s,
        "call_outcome": conversion.outcome,
    }
    return {
        "event_name": target.event_name,
        "event_time": conversion.started_ms // 1000,
        "event_id": conversion.event_id,
        "action_source": "phone_call",
        "user_data": {name: each for name, each in user.items() if each},
        "custom_data": {name: each for name, each in custom.items() if each not in {None, ""}},
    }


def fbc_of(conversion: Conversion) -> str:
    """The click: the cookie, unless the page has been reached by a later click since."""
    cookie, click = conversion.fields.get("_fbc", ""), conversion.told.get("fbclid")
    if click and not cookie.endswith(f".{click}"):
        return f"fb.1.{conversion.started_ms}.{click}"
    return cookie


def _hashed(text: str) -> str:
    """SHA-256 in lower-case hex; of a phone number its digits, as Meta normalises it."""
    return hashlib.sha256(text.removeprefix("+").strip().lower().encode()).hexdigest()


def _parsed(body: bytes) -> Mapping[str, object]:
    try:
        said = orjson.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
