"""Google Analytics 4: a qualified call as an event of the Measurement Protocol.

After https://developers.google.com/analytics/devguides/collection/protocol/ga4 (pages
`sending-events`, `reference`, `validating-events` and `use-cases`), seen in November 2026:

- POST to `/mp/collect` with `measurement_id` and `api_secret` in the query, always answered 2xx,
  whatever is in it; `/debug/mp/collect` says what is wrong and counts nothing: for trials.
- `client_id` is that of the cookie `_ga`. Without it one is made of the visitor's id: the event
  counts, under a user of its own. `session_id` joins it to the session on the site.
- `timestamp_micros` may lie 72 hours back. Older calls are reported as of then.
- Events are not told apart by an id: what is sent twice may count twice. `transaction_id` is the
  same both times.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from dni_allocator.domain.conversion import Conversion, Ga4Target
from dni_allocator.domain.delivery import Message, Unsendable
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import Endpoint, Verdict, verdict

URL: Final = "https://www.google-analytics.com/mp/collect"

_LONGEST_BACK_S: Final = 72 * 3600 - 300
"""Five minutes less than Google allows, for the way there."""

_LONGEST_VALUE: Final = 100
_SESSION: Final = re.compile(r"^(?:GS1\.\d+\.|GS2\.\d+\.s)?(\d{6,12})(?:[.$]|$)")
"""A session id, alone or as the cookie `_ga_<stream>` holds it (GS1 until 2025, GS2 since)."""


class Ga4:
    """The dialect of Google Analytics 4 (see `webhooks.ports.Dialect`)."""

    def message(
        self, endpoint: Endpoint, events: Sequence[Event], *, now_s: float, trial: bool = False
    ) -> Message | Unsendable:
        """The event for a qualified call."""
        target = endpoint.target
        if not isinstance(target, Ga4Target):
            return Unsendable("not a target of this kind")
        conversion = Conversion.of(events[0])
        query = urlencode(
            {"measurement_id": target.measurement_id, "api_secret": target.api_secret}
        )
        parts = urlsplit(endpoint.url)
        path = f"/debug{parts.path}" if trial else parts.path
        return Message(
            id=conversion.event_id,
            url=urlunsplit((parts.scheme, parts.netloc, path, query, "")),
            headers={
                **dict(endpoint.headers),
                "content-type": "application/json",
                "user-agent": "dni-allocator",
            },
            body=orjson.dumps(payload(conversion, target, now_s=now_s)),
            secrets=(target.api_secret,),
        )

    def verdict(self, status: int | None, body: bytes) -> Verdict:
        """2xx is taken, unless it is the validation server's and it has complaints."""
        judged = verdict(status)
        if judged is Verdict.TAKEN and b"validationMessages" in body:
            return Verdict.REFUSED if _complains(body) else Verdict.TAKEN
        return judged


def payload(conversion: Conversion, target: Ga4Target, *, now_s: float) -> Mapping[str, object]:
    """The body. `now_s`: seconds since 1970."""
    value, currency = conversion.money(target)
    told: dict[str, object] = {
        "session_id": _session_of(conversion.fields),
        # Reports leave out events that engaged nobody for any time.
        "engagement_time_msec": 1,
        "transaction_id": conversion.event_id,
        "value": value,
        "currency": currency,
        "call_duration_s": conversion.duration_s,
        "call_outcome": conversion.outcome[:_LONGEST_VALUE],
    }
    at_s = max(conversion.started_ms / 1000, now_s - _LONGEST_BACK_S)
    body: dict[str, object] = {
        "client_id": conversion.ga_client_id or _client_id_of(conversion),
        "timestamp_micros": round(at_s * 1_000_000),
        "events": [
            {
                "name": target.event_name,
                "params": {name: each for name, each in told.items() if each not in {None, ""}},
            }
        ],
    }
    if target.consent is not None:
        said = target.consent.upper()
        body["consent"] = {"ad_user_data": said, "ad_personalization": said}
    return body


def _client_id_of(conversion: Conversion) -> str:
    """A client id of the usual form, the same for a visitor each time."""
    known = conversion.visitor_id or conversion.call_id
    digest = hashlib.sha256(f"ga4:{known}".encode()).digest()
    return f"{int.from_bytes(digest[:4])}.{int.from_bytes(digest[4:8])}"


def _session_of(fields: Mapping[str, str]) -> str:
    """The session id the page told: as `ga_session_id`, or in a cookie `_ga_<stream>`."""
    names = ["ga_session_id", *sorted(name for name in fields if name.startswith("_ga_"))]
    found = (_SESSION.match(fields[name]) for name in names if name in fields)
    return next((match[1] for match in found if match), "")


def _complains(body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except ValueError:
        return True
    return not isinstance(said, dict) or bool(said.get("validationMessages"))
