"""From an outbox entry to what receivers read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.events import from_entry

ASSIGNED = {
    "t": "number.assigned", "p": "pool_7f", "n": "+14155550101", "v": "visitor-1",
    "d": "+18005550100", "f": "42", "w": "1795344299544", "r": "new", "x": '{"url":"https://shop.example/","fields":{"utm":"mail"}}',
}  # fmt: skip
ENDED = ASSIGNED | {"t": "lease.ended", "w": "1795344300007", "s": "1795344299544", "r": "idle"}


def test_an_assignment_as_receivers_read_it() -> None:
    """The published shape, field for field."""
    payload = from_entry(3, "1795344299544-0", ASSIGNED).payload()

    assert payload == {
        "type": "number.assigned",
        "timestamp": "2026-11-22T10:44:59.544Z",
        "data": {
            "event_id": "evt_s3_1795344299544-0",
            "pool_id": "pool_7f",
            "number": "+14155550101",
            "visitor_id": "visitor-1",
            "destination": "+18005550100",
            "lease_id": "lse_7f_42",
            "reason": "new",
            "url": "https://shop.example/",
            "referrer": None,
            "fields": {"utm": "mail"},
        },
    }


def test_an_end_tells_when_the_lease_began() -> None:
    """A receiver that missed the assignment still knows the whole lease."""
    data = from_entry(0, "1795344300007-0", ENDED).payload()["data"]

    assert isinstance(data, dict)
    assert data["started_at"] == "2026-11-22T10:44:59.544Z"
    assert data["ended_at"] == "2026-11-22T10:45:00.007Z"


def test_types_and_fields_of_later_versions_pass_through() -> None:
    """During an upgrade an older forwarder meets newer entries; it must lose nothing."""
    event = from_entry(0, "1795344299544-0", {"t": "call.moved", "call": "cal_1", "n": "+1415"})

    payload = event.payload()

    assert payload["type"] == "call.moved"
    assert payload["timestamp"] == "2026-11-22T10:44:59.544Z"
    assert isinstance(payload["data"], dict)
    assert payload["data"]["call"] == "cal_1"
    assert payload["data"]["lease_id"] is None


def test_unreadable_captured_data_are_passed_on_as_text() -> None:
    """They are the customer's; guessing and dropping are both wrong."""
    assert from_entry(0, "1-0", ASSIGNED | {"x": "{oops"}).fields == {"unreadable": "{oops"}
    assert from_entry(0, "1-0", ASSIGNED | {"x": "[1]"}).fields == {"unreadable": "[1]"}
    assert from_entry(0, "1-0", ASSIGNED | {"x": ""}).fields == {}


@given(st.dictionaries(st.sampled_from([*"tpnvdfwsrxj", "zz"]), st.text()), st.text())
def test_no_entry_stops_the_rest(fields: dict[str, str], entry_id: str) -> None:
    """Whatever an entry says, it becomes a payload, and the same one each time."""
    first = json.dumps(from_entry(0, entry_id, fields).payload())

    assert first == json.dumps(from_entry(0, entry_id, fields).payload())
