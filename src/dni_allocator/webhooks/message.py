"""One request to an endpoint: its id, its headers, its body, signed.

Knows how events are packed and what the receiver reads; not when it is sent or what comes back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from dni_allocator.domain.delivery import Message
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import Body, Endpoint, Verdict, verdict
from dni_allocator.webhooks.signing import sign

_CONTENT_TYPES: Final[Mapping[Body, str]] = {
    "single": "application/json",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
}

OWN_HEADERS: Final = frozenset({
    "content-type", "content-length", "host", "connection", "transfer-encoding", "user-agent",
    "webhook-id", "webhook-timestamp", "webhook-signature", "te", "trailer", "upgrade",
    "keep-alive", "expect", "accept-encoding",
})  # fmt: skip
"""Headers that are ours, or the connection's: an endpoint cannot set them."""


def message(endpoint: Endpoint, events: Sequence[Event], *, now_s: float) -> Message:
    """Pack and sign one or more events for an endpoint. `now_s`: seconds since 1970.

    A single event travels under its own id. A batch has an id of its own, made of its first and
    last event and their number; receivers tell events by `data.event_id`.
    """
    batched = endpoint.in_batches
    bodies = [_encoded(event) for event in events]
    if not batched:
        message_id, body = events[0].id, bodies[0]
    else:
        first, last = events[0].id, events[-1].id.rpartition("_")[2]
        message_id = f"bat_{first.removeprefix('evt_')}_{last}_{len(events)}"
        body = b"\n".join(bodies) if endpoint.body == "ndjson" else b"[" + b",".join(bodies) + b"]"
    timestamp_s = int(now_s)
    return Message(
        id=message_id,
        url=endpoint.url,
        body=body,
        headers={
            **dict(endpoint.headers),
            "content-type": _CONTENT_TYPES[endpoint.body],
            "user-agent": "dni-allocator",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(
                endpoint.secrets_at(int(now_s * 1000)),
                message_id=message_id,
                timestamp_s=timestamp_s,
                body=body,
            ),
        },
    )


class StandardWebhooks:
    """The dialect of webhook endpoints (see `webhooks.ports.Dialect`)."""

    def message(
        self, endpoint: Endpoint, events: Sequence[Event], *, now_s: float, trial: bool = False
    ) -> Message:
        """Pack and sign. A trial is sent as any other: its id tells (`evt_test_…`)."""
        del trial
        return message(endpoint, events, now_s=now_s)

    def verdict(self, status: int | None, body: bytes) -> Verdict:
        """By the status alone: the body of an answer means nothing."""
        del body
        return verdict(status)


def _encoded(event: Event) -> bytes:
    payload = event.payload()
    try:
        return orjson.dumps(payload)
    except TypeError:
        # Captured data may hold what JSON can write and UTF-8 cannot: half a surrogate pair.
        return json.dumps(payload, separators=(",", ":")).encode()
