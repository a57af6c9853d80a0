"""What is sent to advertisers' systems for a qualified call, and what their answers mean."""

import hashlib
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from dni_allocator.conversions.ga4 import URL, Ga4
from dni_allocator.conversions.meta import Meta, url_of
from dni_allocator.conversions.postback import Postback, problem_of
from dni_allocator.domain.conversion import (
    EVENT_TYPE,
    Conversion,
    Ga4Target,
    MetaTarget,
    PostbackTarget,
    Target,
    settings_of,
)
from dni_allocator.domain.delivery import Message, Unsendable
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.events import Event
from dni_allocator.domain.webhook import Endpoint, Verdict
from tests.support.advertisers import GA4, META, complaints

STARTED_MS = 1_795_423_107_109
NOW_S = STARTED_MS / 1000 + 120
CLICK = "IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk"
TOLD = {
    "_ga": "1122334455.1795000000",
    "_ga_ABC123": "GS2.1.s1795423000$o3$g1$t1795423100",
    "_fbp": "fb.1.1596403881668.1116446470",
    "gclid": "EAIaIQ",
    "utm_campaign": "Spring & Söhne/50% off",
}
CALL = Event(
    id="evt_s3_1795423201000-0",
    type="call.qualified",
    occurred_ms=STARTED_MS + 95_000,
    pool_id="pool_a",
    number="+16025550103",
    visitor_id="visitor-1",
    destination="+16025550142",
    fence="7",
    url=f"https://shop.example/?fbclid={CLICK}&aff_sub=a%2Bb%26c",
    fields=TOLD,
    extra={
        "call_id": "call_a_1",
        "caller": "+16025550177",
        "started_at": "2026-11-23T08:38:27.109Z",
        "duration_s": 95,
        "outcome": "sale",
        "value": 120.5,
        "currency": "usd",
        "source_name": "google",
        "medium": "paid",
    },
)
BARE = replace(CALL, fields={}, url="", visitor_id="visitor-2", extra={"call_id": "call_a_2"})
GA4_TARGET = Ga4Target(measurement_id="G-ABC123", api_secret="of-the-stream-0123")
META_TARGET = MetaTarget(pixel_id="123456", access_token="EAAG-token-of-a-test")


def told(target: Target, url: str) -> Endpoint:
    """Where conversions go."""
    return Endpoint(id="cnv_1", url=url, secret="", created_ms=1, target=target)


def sent(dialect: Ga4 | Meta | Postback, endpoint: Endpoint, event: Event = CALL) -> Message:
    """The request for a call."""
    packed = dialect.message(endpoint, [event], now_s=NOW_S)
    assert isinstance(packed, Message)
    return packed


# --- Google Analytics 4 ---------------------------------------------------------------------------


def test_ga4_gets_what_its_documents_ask_for() -> None:
    """Client and session of the browser, the instant in microseconds, value with currency."""
    packed = sent(Ga4(), told(replace(GA4_TARGET, consent="granted"), URL))

    body = json.loads(packed.body)
    [event] = body["events"]
    query = parse_qs(urlsplit(packed.url).query)
    assert complaints(GA4, packed.body) == []
    assert query == {"measurement_id": ["G-ABC123"], "api_secret": ["of-the-stream-0123"]}
    assert (body["client_id"], event["params"]["session_id"]) == (TOLD["_ga"], "1795423000")
    assert body["timestamp_micros"] == STARTED_MS * 1000
    assert body["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}
    assert event["name"] == "generate_lead"
    assert (event["params"]["value"], event["params"]["currency"]) == (120.5, "USD")
    assert event["params"]["transaction_id"] == CALL.id
    assert "+1602" not in packed.body.decode()


def test_ga4_counts_a_call_without_its_cookie() -> None:
    """Under a client id of the usual form, the same for a visitor each time."""
    first, again = (json.loads(sent(Ga4(), told(GA4_TARGET, URL), BARE).body) for _ in range(2))
    other = json.loads(sent(Ga4(), told(GA4_TARGET, URL), replace(BARE, visitor_id="v-3")).body)

    assert complaints(GA4, json.dumps(first).encode()) == []
    assert first["client_id"] == again["client_id"] != other["client_id"]
    assert "value" not in first["events"][0]["params"]


@pytest.mark.parametrize(
    ("cookie", "session"),
    [
        ("GS1.1.1716239022.3.1.1716239100.0.0.0", "1716239022"),
        ("GS2.1.s1795423000$o3$g1", "1795423000"),
        ("1795423000", "1795423000"),
        ("nonsense", None),
    ],
)
def test_ga4_reads_the_session_from_either_form_of_the_cookie(
    cookie: str, session: str | None
) -> None:
    """Google changed it in 2025; both are about."""
    event = replace(CALL, fields={"_ga_ABC123": cookie})

    [packed] = json.loads(sent(Ga4(), told(GA4_TARGET, URL), event).body)["events"]

    assert packed["params"].get("session_id") == session


def test_ga4_is_never_told_of_more_than_72_hours_ago() -> None:
    """A call whose delivery took days is reported as of the earliest instant that counts."""
    late_s = STARTED_MS / 1000 + 75 * 3600

    packed = Ga4().message(told(GA4_TARGET, URL), [CALL], now_s=late_s)

    assert isinstance(packed, Message)
    at_s = json.loads(packed.body)["timestamp_micros"] / 1_000_000
    assert late_s - 72 * 3600 < at_s < late_s


def test_ga4_is_tried_out_at_the_validation_server() -> None:
    """It counts nothing and says what is wrong, with 200 either way."""
    packed = Ga4().message(told(GA4_TARGET, URL), [CALL], now_s=NOW_S, trial=True)
    complaint = b'{"validationMessages":[{"fieldPath":"events","validationCode":"NAME_INVALID"}]}'

    assert isinstance(packed, Message)
    assert urlsplit(packed.url).path == "/debug/mp/collect"
    assert Ga4().verdict(200, complaint) is Verdict.REFUSED
    assert Ga4().verdict(200, b'{"validationMessages":[]}') is Verdict.TAKEN
    assert Ga4().verdict(204, b"") is Verdict.TAKEN
    assert Ga4().verdict(500, b"") is Verdict.FAILED
    assert Ga4().verdict(None, b"") is Verdict.FAILED


# --- Meta -----------------------------------------------------------------------------------------


def test_meta_gets_what_its_documents_ask_for() -> None:
    """A phone call with its own event id, the number hashed as digits, the click, the browser."""
    packed = sent(Meta(), told(META_TARGET, url_of("123456")))

    [event] = json.loads(packed.body)["data"]
    user = event["user_data"]
    assert complaints(META, packed.body) == []
    assert packed.url == (
        "https://graph.facebook.com/v26.0/123456/events?access_token=EAAG-token-of-a-test"
    )
    assert (event["event_id"], event["event_time"]) == (CALL.id, STARTED_MS // 1000)
    assert user["ph"] == [hashlib.sha256(b"16025550177").hexdigest()]
    assert user["fbc"] == f"fb.1.{STARTED_MS}.{CLICK}"
    assert user["fbp"] == TOLD["_fbp"]
    assert event["custom_data"]["value"] == 120.5
    assert "6025550177" not in packed.body.decode()


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (f"fb.1.1795000000000.{CLICK}", f"fb.1.1795000000000.{CLICK}"),
        ("fb.1.1500000000000.OfAnEarlierClick", f"fb.1.{STARTED_MS}.{CLICK}"),
    ],
)
def test_meta_is_told_the_latest_click(cookie: str, expected: str) -> None:
    """The cookie has the true instant of the click; one of an earlier click says nothing."""
    event = replace(CALL, fields={"_fbc": cookie})

    [packed] = json.loads(sent(Meta(), told(META_TARGET, url_of("1")), event).body)["data"]

    assert packed["user_data"]["fbc"] == expected


def test_meta_is_not_told_of_somebody_unknown() -> None:
    """A request that Meta would refuse is not made; nor is a trial that would count."""
    nobody = replace(BARE, visitor_id="")
    endpoint = told(META_TARGET, url_of("1"))
    quiet = told(replace(META_TARGET, send_phone=False), url_of("1"))
    trial = told(replace(META_TARGET, test_event_code="TEST123"), url_of("1"))

    unknown = Meta().message(endpoint, [nobody], now_s=NOW_S)
    counting = Meta().message(endpoint, [CALL], now_s=NOW_S, trial=True)
    tried = Meta().message(trial, [CALL], now_s=NOW_S, trial=True)

    assert isinstance(unknown, Unsendable)
    assert isinstance(counting, Unsendable)
    assert isinstance(tried, Message)
    assert json.loads(tried.body)["test_event_code"] == "TEST123"
    assert b"test_event_code" not in sent(Meta(), trial).body
    assert "ph" not in json.loads(sent(Meta(), quiet).body)["data"][0]["user_data"]


def error(code: int, **more: object) -> bytes:
    """An error of the Graph API."""
    return json.dumps({"error": {"message": "x", "code": code, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"events_received":1,"messages":[],"fbtrace_id":"A"}', Verdict.TAKEN),
        (200, b'{"events_received":0}', Verdict.FAILED),
        (200, b"<html>a portal</html>", Verdict.FAILED),
        (400, error(190, error_subcode=463), Verdict.FAILED),
        (400, error(200), Verdict.FAILED),
        (400, error(100, error_subcode=33), Verdict.FAILED),
        (400, error(100, error_subcode=2804003), Verdict.REFUSED),
        (400, error(100, is_transient=True), Verdict.FAILED),
        (400, error(2804008), Verdict.REFUSED),
        (400, error(4), Verdict.OVERLOADED),
        (400, error(80004, is_transient=True), Verdict.OVERLOADED),
        (500, error(1), Verdict.FAILED),
        (500, error(2, is_transient=True), Verdict.FAILED),
        (400, b"no JSON", Verdict.FAILED),
        (503, b"", Verdict.OVERLOADED),
        (None, b"", Verdict.FAILED),
    ],
)
def test_meta_answers_by_code_not_by_status(
    status: int | None, body: bytes, expected: Verdict
) -> None:
    """A token that has run out is mended by a person; an event that is wrong never changes."""
    assert Meta().verdict(status, body) is expected


# --- postbacks ------------------------------------------------------------------------------------

TEMPLATE = (
    "https://tracker.example/postback/{call_id}?click={gclid}&sub={aff_sub}&c={utm_campaign}"
    "&payout={value}&cur={currency}&t={timestamp}&none={no_such_field}&src={source}"
)


def test_a_postback_has_its_macros_replaced() -> None:
    """Each value is encoded, so that none can add a parameter."""
    packed = sent(Postback(), told(PostbackTarget(), TEMPLATE))

    parts = urlsplit(packed.url)
    assert (packed.method, packed.body, parts.path) == ("GET", b"", "/postback/call_a_1")
    assert parse_qs(parts.query, keep_blank_values=True) == {
        "click": ["EAIaIQ"], "sub": ["a+b&c"], "c": ["Spring & Söhne/50% off"],
        "payout": ["120.50"], "cur": ["usd"], "t": [str(STARTED_MS // 1000)], "none": [""],
        "src": ["google"],
    }  # fmt: skip


def test_a_postback_may_be_a_form() -> None:
    """With macros in the form as in the URL, and the target's own value where a call has none."""
    target = PostbackTarget(
        method="POST", form="call={call_id}&v={value}&who={caller_sha256}", value=25, currency="EUR"
    )

    packed = sent(Postback(), told(target, "https://tracker.example/"), BARE)

    assert packed.method == "POST"
    assert packed.headers["content-type"] == "application/x-www-form-urlencoded"
    assert packed.body == b"call=call_a_2&v=25.00&who="


@pytest.mark.parametrize(
    ("template", "fine"),
    [
        ("https://tracker.example/?c={gclid}", True),
        ("https://{gclid}.example/", False),
        ("{url}", False),
        ("https://tracker.example/?c={gclid", False),
        ("https://tracker.example/?c={a b}", False),
    ],
)
def test_macros_never_choose_the_host(template: str, *, fine: bool) -> None:
    """What a page reports must not decide where this service sends something."""
    host_is_fixed = urlsplit(template).scheme == "https" and "{" not in urlsplit(template).netloc

    assert (problem_of(template) is None and host_is_fixed) is fine


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", [GA4_TARGET, META_TARGET, PostbackTarget(method="POST", form="a={b}")]
)
def test_an_endpoint_keeps_its_target(target: Target) -> None:
    """Read back it is the same; shown, its secret is not."""
    endpoint = told(target, "https://x.example/")

    shown = str(settings_of(target))

    assert Endpoint.from_json(endpoint.to_json()) == endpoint
    assert endpoint.kind == target.kind
    assert "of-the-stream" not in shown
    assert "EAAG" not in shown


def test_a_target_hears_of_its_calls_only() -> None:
    """Not of other sources', and not that a visitor is erased: its protocol has no word for it."""
    endpoint = replace(told(GA4_TARGET, URL), event_types=(EVENT_TYPE,), sources=("src_1",))

    assert endpoint.wants(EVENT_TYPE, "pool_a", "src_1")
    assert not endpoint.wants(EVENT_TYPE, "pool_a", "src_2")
    assert not endpoint.wants(EVENT_TYPE, "pool_a")
    assert not endpoint.wants("call.completed", "pool_a", "src_1")
    assert not endpoint.wants("visitor.erased")
    assert replace(endpoint, target=None).wants("visitor.erased")


def test_a_target_of_a_later_version_is_no_target_of_ours() -> None:
    """Better an error than an event to the wrong place."""
    record = json.loads(told(GA4_TARGET, "https://x.example/").to_json())
    record["target"]["kind"] = "of-next-year"

    with pytest.raises(InvalidRequest):
        Endpoint.from_json(json.dumps(record))


def test_a_strange_event_is_read_all_the_same() -> None:
    """Facts that are missing or of another type count as unknown."""
    strange = replace(
        CALL,
        extra={"duration_s": "long", "value": "much", "started_at": "then", "source_name": None},
    )

    found = Conversion.of(strange)

    assert (found.duration_s, found.value, found.source_name) == (None, None, "")
    assert found.started_ms == CALL.occurred_ms
