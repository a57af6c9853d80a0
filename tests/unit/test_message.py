"""What goes over the wire, for one event and for many."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from dni_allocator.domain.delivery import Entry
from dni_allocator.domain.webhook import Body, Endpoint
from dni_allocator.webhooks.message import message
from tests.support.delivery import SECRET, assigned

ENDPOINT = Endpoint(
    id="whe_a", url="https://example.com/", secret=SECRET, created_ms=5,
    headers=(("authorization", "Bearer of-the-gateway"),),
)  # fmt: skip
EVENTS = [Entry(f"1795344299544-{at}", 2, assigned("+14155550101")).event for at in range(3)]
NOW_S = 1_795_344_300.0


def test_one_event_travels_under_its_own_id() -> None:
    """With the operator's headers beside ours."""
    sent = message(ENDPOINT, EVENTS[:1], now_s=NOW_S)

    assert sent.id == sent.headers["webhook-id"] == "evt_s2_1795344299544-0"
    assert sent.headers["authorization"] == "Bearer of-the-gateway"
    assert json.loads(sent.body) == EVENTS[0].payload()


@pytest.mark.parametrize(
    ("body", "content_type"), [("json", "application/json"), ("ndjson", "application/x-ndjson")]
)
def test_a_batch_is_one_signed_body(body: Body, content_type: str) -> None:
    """The library accepts it whole; each event in it has the id it always has."""
    endpoint = replace(ENDPOINT, body=body)

    sent = message(endpoint, EVENTS, now_s=NOW_S)

    text = sent.body.decode()
    events = json.loads(text) if body == "json" else [json.loads(x) for x in text.split("\n")]
    assert [one["data"]["event_id"] for one in events] == [one.id for one in EVENTS]
    assert sent.headers["content-type"] == content_type
    signature = sent.headers["webhook-signature"]
    assert signature == Webhook(SECRET).sign(sent.id, datetime.fromtimestamp(NOW_S, UTC), text)


def test_the_same_batch_has_the_same_id_and_body() -> None:
    """A second attempt is recognised; another cut is another message."""
    endpoint = replace(ENDPOINT, body="json")

    first, later = (message(endpoint, EVENTS, now_s=NOW_S + wait) for wait in (0, 3600))
    halved = message(endpoint, EVENTS[:2], now_s=NOW_S)

    assert (first.id, first.body) == (later.id, later.body)
    assert halved.id != first.id
