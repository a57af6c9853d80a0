"""Conversions from the ring to the advertiser: set up by the API, delivered by the forwarder."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs, urlsplit

import pytest

from dni_allocator.store.connection import Connection
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.advertisers import Analytics, Dataset
from tests.support.delivery import LOOPBACK, forwarder, running
from tests.support.receiver import Delivery, Receiver, receiving
from tests.support.service import Json, Service, Site, serving
from tests.support.waiting import wait_until_async
from tests.webhooks.conftest import RetryClock

NUMBERS = ("+12125550101", "+12125550102")
CALLER = "+14155550177"
CLICKED = "https://shop.example/?fbclid=IwAR2F4&gclid=EAIa"
GA4 = {"kind": "ga4", "measurement_id": "G-ABC123", "api_secret": "of-the-stream-0123"}
META = {"kind": "meta", "pixel_id": "123456", "access_token": "EAAG-token-of-a-test"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An advertiser's server."""
    async with receiving() as listening:
        yield listening


@pytest.fixture
async def near(redis_url: str) -> AsyncIterator[Service]:
    """The service, which may send to this machine."""
    async with serving(redis_url, webhook_allow="127.0.0.0/8") as running_service:
        yield running_service


Sending = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
async def sending(redis_url: str) -> AsyncIterator[Sending]:
    """A forwarder at work while the context lasts."""
    async with Connection(redis_url) as connection, HttpTransport(allowed=LOOPBACK) as transport:
        yield lambda **how: running(forwarder(connection, transport, shards=4, **how))


async def asked(service: Service, method: str, path: str, body: object = None) -> Json:
    """A call that succeeds."""
    answer = await service.admin(method, path, body)
    assert answer.status_code in {200, 201, 202}, answer.text
    found: Json = answer.json()
    return found


async def a_source(service: Service, kind: str = "google") -> str:
    """A traffic source."""
    made = await asked(service, "POST", "/traffic-sources", {"kind": kind, "name": kind})
    return str(made["id"])


async def reported(service: Service, source: str, **settings: object) -> Json:
    """A conversion of it."""
    return await asked(service, "POST", f"/traffic-sources/{source}/conversions", settings)


async def qualified(site: Site, visitor: str, url: str = CLICKED, **more: object) -> Json:
    """A visitor who saw a number, called it and talked for long enough."""
    fields = {"_ga": "1122334455.1795000000", "_fbp": "fb.1.1596403881668.1116446470"}
    number = await site.number(visitor, f"page-{visitor}", url=url, fields=fields)
    body = {"number": number, "caller": CALLER}
    call = await asked(site.service, "POST", "/calls", body)
    end = {"status": "completed", "duration_s": 95, **more}
    return await asked(site.service, "PATCH", f"/calls/{call['id']}", end)


async def dead_letters(service: Service, conversion: Json) -> list[Json]:
    """What a conversion's target will not be sent again."""
    found = await asked(service, "GET", f"/webhooks/{conversion['id']}/dead-letters")
    letters: list[Json] = found["dead_letters"]  # type: ignore[assignment]
    return letters


async def test_a_qualified_call_is_reported_to_its_source(
    near: Service, sending: Sending, receiver: Receiver
) -> None:
    """To all of its targets, each as its vendor documents; other calls are not."""
    analytics, dataset = Analytics("of-the-stream-0123"), Dataset("EAAG-token-of-a-test")
    postbacks: list[Delivery] = []

    def answer(delivery: Delivery) -> int:
        if delivery.path.startswith("/mp/"):
            return analytics.answer(delivery)
        if delivery.path.startswith("/v26.0/"):
            status = dataset.answer(delivery)
            receiver.body = dataset.reply
            return status
        postbacks.append(delivery)
        return 200

    receiver.answer = answer
    base = receiver.url.removesuffix("/hook")
    source, other = await a_source(near), await a_source(near, "microsoft")
    await reported(near, source, **GA4, url=f"{base}/mp/collect")
    await reported(near, source, **META, url=f"{base}/v26.0/123456/events")
    await reported(
        near, source, kind="postback", method="POST", url=f"{base}/postback?click={{gclid}}",
        form="call={call_id}&payout={value}&cur={currency}",
    )  # fmt: skip
    await reported(near, other, kind="postback", url=f"{base}/never")
    site = await near.pool(*NUMBERS, traffic_sources=[source, other])

    async with sending():
        call = await qualified(site, "ann", value="120.50", currency="USD")
        await qualified(site, "bob", "https://shop.example/?utm_source=x", duration_s=95)
        await wait_until_async(lambda: analytics.counted and dataset.counted and postbacks)

    [event] = analytics.counted
    [[(_, event_id), told]] = dataset.counted.items()
    assert (analytics.dropped, dataset.wrong, len(postbacks)) == ([], [], 1)
    assert event["client_id"] == "1122334455.1795000000"
    assert event["events"][0]["params"]["value"] == 120.5
    assert event["events"][0]["params"]["transaction_id"] == event_id
    assert told["user_data"]["fbc"].endswith(".IwAR2F4")
    assert postbacks[0].path == "/postback?click=EAIa"
    assert parse_qs(postbacks[0].body.decode()) == {
        "call": [call["id"]], "payout": ["120.50"], "cur": ["USD"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (500, b'{"error":{"message":"x","code":2,"is_transient":true}}'),
        (429, b""),
        (400, b'{"error":{"message":"x","code":80004}}'),
        (400, b'{"error":{"message":"token EAAG-token-of-a-test","code":190}}'),
    ],
)
async def test_what_may_succeed_later_is_tried_again(
    near: Service,
    sending: Sending,
    receiver: Receiver,
    status: int,
    reply: bytes,
) -> None:
    """Under the same event id, so that it counts once; no attempt keeps the token."""
    dataset, clock = Dataset("EAAG-token-of-a-test"), RetryClock()

    def answer(delivery: Delivery) -> int:
        if len(receiver.came) == 1:
            receiver.body = reply
            return status
        found = dataset.answer(delivery)
        receiver.body = dataset.reply
        return found

    receiver.answer = answer
    source = await a_source(near)
    made = await reported(near, source, **META, url=receiver.url)
    site = await near.pool(*NUMBERS, traffic_sources=[source])

    async with sending(clock=clock):
        await qualified(site, "ann")

        # Only once the failure is written down: its next attempt is reckoned from that instant.
        async def parked() -> bool:
            found = await asked(near, "GET", f"/webhooks/{made['id']}/deliveries")
            return found["standing"]["retrying"] == 1  # type: ignore[index, no-any-return]

        await wait_until_async(parked)
        clock.ahead_s = 60
        await wait_until_async(lambda: dataset.counted)

        async def both_noted() -> bool:
            found = await asked(near, "GET", f"/webhooks/{made['id']}/deliveries")
            return len(found["deliveries"]) == 2  # type: ignore[arg-type]

        await wait_until_async(both_noted)

    found = await near.admin("GET", f"/webhooks/{made['id']}/deliveries")
    first, second = (json.loads(each.body)["data"][0]["event_id"] for each in receiver.came)
    assert first == second
    assert len(dataset.counted) == 1
    assert "EAAG" not in found.text
    assert found.json()["deliveries"][0]["verdict"] == "taken"


async def test_what_never_changes_is_a_dead_letter_and_can_be_sent_again(
    near: Service, sending: Sending, receiver: Receiver
) -> None:
    """Meta refuses an event for good; when the target is mended, a replay delivers it."""
    dataset = Dataset("EAAG-token-of-a-test")
    receiver.body = b'{"error":{"message":"Invalid parameter","code":100,"error_subcode":2804003}}'
    receiver.answer = lambda _: 400
    source = await a_source(near)
    made = await reported(near, source, **META, url=receiver.url)
    site = await near.pool(*NUMBERS, traffic_sources=[source])

    async with sending():
        await qualified(site, "ann")

        async def dead() -> bool:
            return bool(await dead_letters(near, made))

        await wait_until_async(dead)

        def mended(delivery: Delivery) -> int:
            status = dataset.answer(delivery)
            receiver.body = dataset.reply
            return status

        receiver.answer = mended
        await asked(near, "POST", f"/webhooks/{made['id']}/replay", {"dead_letters": True})
        await wait_until_async(lambda: dataset.counted)

    assert len(receiver.came) == 2


async def test_a_paused_conversion_goes_on_where_it_was(
    near: Service, sending: Sending, receiver: Receiver
) -> None:
    """Nothing is sent meanwhile, and nothing is lost."""
    source = await a_source(near)
    made = await reported(near, source, kind="postback", url=f"{receiver.url}?c={{call_id}}")
    path = f"/traffic-sources/{source}/conversions/{made['id']}"
    site = await near.pool(*NUMBERS, traffic_sources=[source])

    async with sending():
        paused = await asked(near, "PATCH", path, {"state": "disabled"})
        call = await qualified(site, "ann")
        sent_while_paused = len(receiver.came)
        resumed = await asked(near, "PATCH", path, {"state": "active"})
        await wait_until_async(lambda: receiver.taken)

    assert (paused["state"], paused["disabled_reason"]) == ("disabled", "operator")
    assert (resumed["state"], sent_while_paused) == ("active", 0)
    assert [each.path for each in receiver.taken] == [f"/hook?c={call['id']}"]
    assert receiver.taken[0].method == "GET"


async def test_a_target_is_tried_out(near: Service, receiver: Receiver) -> None:
    """GA4 at its validation server; Meta only with a test event code; the example, not a call."""
    source = await a_source(near)
    base = receiver.url.removesuffix("/hook")
    ga4 = await reported(near, source, **GA4, url=f"{base}/mp/collect")
    meta = await reported(near, source, **META, url=f"{base}/v26.0/1/events")
    receiver.answer = lambda _: 200
    receiver.body = b'{"validationMessages":[{"description":"no such event"}]}'

    complained = await asked(near, "POST", f"/webhooks/{ga4['id']}/test")
    refused = await near.admin("POST", f"/webhooks/{meta['id']}/test")

    [came] = receiver.came
    assert urlsplit(came.path).path == "/debug/mp/collect"
    assert (complained["verdict"], complained["status"]) == ("refused", 200)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")


async def test_secrets_are_shown_to_nobody(near: Service) -> None:
    """Not in the answer that made it, not in lists; replaced, the last characters tell."""
    source = await a_source(near)
    path = f"/traffic-sources/{source}/conversions"

    made = [await near.admin("POST", path, each) for each in (GA4, META)]
    edited = await near.admin(
        "PATCH", f"{path}/{made[0].json()['id']}", {"api_secret": "another-secret-9876"}
    )
    texts = [*(each.text for each in made), edited.text, (await near.admin("GET", path)).text]
    texts.append((await near.admin("GET", "/webhooks")).text)

    assert edited.json()["settings"]["api_secret"] == "…9876"
    for text in texts:
        assert "of-the-stream" not in text
        assert "another-secret" not in text
        assert "EAAG" not in text


async def test_a_conversion_is_no_webhook(near: Service) -> None:
    """It is edited and deleted at its source; with the source everything of it goes."""
    source = await a_source(near)
    made = await reported(near, source, **GA4)
    elsewhere = await a_source(near)
    id_ = made["id"]

    listed = await asked(near, "GET", "/webhooks")
    wrong = [
        await near.admin("PATCH", f"/webhooks/{id_}", {"description": "x"}),
        await near.admin("DELETE", f"/webhooks/{id_}"),
        await near.admin("POST", f"/webhooks/{id_}/rotate"),
        await near.admin("GET", f"/traffic-sources/{elsewhere}/conversions/{id_}"),
        await near.admin("DELETE", f"/traffic-sources/{elsewhere}/conversions/{id_}"),
    ]
    await near.admin("DELETE", f"/traffic-sources/{source}")
    after = await near.admin("GET", f"/webhooks/{id_}/deliveries")

    assert listed["webhooks"] == []
    assert {each.status_code for each in wrong} == {404}
    assert after.status_code == 404


async def test_internal_addresses_are_out_of_reach(service: Service) -> None:
    """A postback is guarded as webhooks are."""
    source = await a_source(service)
    made = await reported(
        service, source, kind="postback", url="https://169.254.169.254/?c={gclid}"
    )

    tried = await asked(service, "POST", f"/webhooks/{made['id']}/test")

    assert (tried["status"], tried["failure"]) == (None, "refused")


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "fax"},
        {"kind": "ga4", "measurement_id": "UA-1", "api_secret": "x"},
        {**GA4, "event_name": "9lives"},
        {**GA4, "url": "https://sgtm.example/mp/collect?api_secret=x"},
        {**GA4, "value": 5},
        {**META, "event_name": "Purchase"},
        {**META, "event_name": "Purchase", "value": 5},
        {"kind": "postback"},
        {"kind": "postback", "url": "https://{gclid}.example/"},
        {"kind": "postback", "url": "https://t.example/?c={gclid"},
        {"kind": "postback", "url": "{url}"},
        {"kind": "postback", "url": "https://t.example/", "form": "a={gclid}"},
        {"kind": "google_ads"},
        {"kind": "google_ads", "conversion_name": "x", "click_ids": []},
        {"kind": "microsoft_ads", "conversion_name": "x", "days": 91},
        {"kind": "microsoft_ads", "conversion_name": "x", "api_secret": "y"},
    ],
)
async def test_a_conversion_that_could_not_work_is_refused(
    service: Service, settings: Json
) -> None:
    """With 422, and nothing is written."""
    source = await a_source(service)
    before = service.contents()

    answer = await service.admin("POST", f"/traffic-sources/{source}/conversions", settings)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert service.contents() == before


async def test_an_edit_changes_only_what_is_given(service: Service) -> None:
    """What another kind has is refused, as is what would not work together."""
    source = await a_source(service)
    made = await reported(service, source, **META, value=5, currency="EUR")
    path = f"/traffic-sources/{source}/conversions/{made['id']}"

    edited = await asked(service, "PATCH", path, {"pixel_id": "777777", "value": None})
    wrong = await service.admin("PATCH", path, {"measurement_id": "G-ABC123"})

    assert edited["url"] == "https://graph.facebook.com/v26.0/777777/events"
    assert edited["settings"] == {**made["settings"], "pixel_id": "777777", "value": None}  # type: ignore[dict-item]
    assert wrong.json()["errors"][0]["field"] == "measurement_id"
