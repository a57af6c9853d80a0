"""Webhook endpoints as an operator handles them, and what became of their events."""

import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from standardwebhooks import Webhook

from dni_allocator.store.connection import Connection
from dni_allocator.webhooks.signing import verify
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import LOOPBACK, assigned, forwarder, publish, running
from tests.support.receiver import Receiver, receiving
from tests.support.service import Json, Service, serving
from tests.support.waiting import wait_until_async


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything until told otherwise."""
    async with receiving() as listening:
        yield listening


@pytest.fixture
async def near(redis_url: str) -> AsyncIterator[Service]:
    """The service, which may send webhooks to this machine."""
    async with serving(redis_url, webhook_allow="127.0.0.0/8") as running_service:
        yield running_service


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    """The store's own connection."""
    async with Connection(redis_url) as opened:
        yield opened


async def made(service: Service, url: str, **more: object) -> Json:
    """A new endpoint."""
    answer = await service.admin("POST", "/webhooks", {"url": url, **more})
    assert answer.status_code == 201, answer.text
    endpoint: Json = answer.json()
    assert answer.headers["location"] == f"/webhooks/{endpoint['id']}"
    return endpoint


async def call(service: Service, method: str, path: str, body: object = None) -> Json:
    """A call that succeeds."""
    answer = await service.admin(method, path, body)
    assert answer.status_code in {200, 202}, answer.text
    found: Json = answer.json()
    return found


async def test_an_endpoint_says_what_it_was_told(service: Service) -> None:
    """Each setting can be read back, and changed without touching the others."""
    settings = {
        "event_types": ["lease.ended"], "pools": ["pool_a"], "headers": {"x-team": "crm"},
        "rate_limit": 20, "body": "ndjson", "batch_size": 50, "description": "CRM",
    }  # fmt: skip
    endpoint = await made(service, "https://crm.example/dni", **settings)
    path = f"/webhooks/{endpoint['id']}"

    edited = await call(
        service, "PATCH", path, {"description": "ERP", "pools": [], "url": "https://erp.example/"}
    )

    assert endpoint.items() >= settings.items()
    changed = {"description": "ERP", "pools": [], "url": "https://erp.example/"}
    assert edited == endpoint | changed
    assert await call(service, "GET", path) == edited


async def test_an_endpoint_is_switched_off_and_on_again(service: Service) -> None:
    """Its reason is that an operator did it; an edit leaves the state alone."""
    endpoint = await made(service, "https://crm.example/dni")
    path = f"/webhooks/{endpoint['id']}"

    off = await call(service, "PATCH", path, {"state": "disabled"})
    still = await call(service, "PATCH", path, {"description": "resting"})
    on = await call(service, "PATCH", path, {"state": "active"})

    assert (off["state"], off["disabled_reason"]) == ("disabled", "operator")
    assert (still["state"], still["disabled_reason"]) == ("disabled", "operator")
    assert (on["state"], on["disabled_reason"]) == ("active", None)


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "ftp://crm.example/"},
        {"headers": {"webhook-id": "forged"}},
        {"headers": {"x-a": "two\r\nlines: here"}},
        {"headers": {"white space": "x"}},
        {"headers": {"Host": "inside.example"}},
        {"rate_limit": -1},
        {"body": "xml"},
        {"batch_size": 501},
        {"batch_size": 0},
        {"secret": "whsec_short"},
        {"secret": "whsk_short"},
        {"signature": "rsa"},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_a_bad_setting_is_refused_and_nothing_is_written(
    bad: dict[str, object], service: Service
) -> None:
    """Also headers that would forge ours, or smuggle a second one in."""
    before = service.contents()

    answer = await service.admin("POST", "/webhooks", {"url": "https://crm.example/", **bad})

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid-request"
    assert service.contents() == before


async def test_a_rotated_secret_overlaps_with_the_one_before(service: Service) -> None:
    """The answer has the new one; how long the old one signs is told, not what it is."""
    endpoint = await made(service, "https://crm.example/dni")
    path = f"/webhooks/{endpoint['id']}"

    rotated = await call(service, "POST", f"{path}/rotate", {"overlap_s": 60})
    cut = await call(service, "POST", f"{path}/rotate", {"overlap_s": 0})

    assert rotated["secret"] != endpoint["secret"]
    assert isinstance(rotated["old_secrets_until"], list)
    assert len(rotated["old_secrets_until"]) == 1
    assert cut["old_secrets_until"] == rotated["old_secrets_until"]
    assert str(endpoint["secret"]) not in str(cut)


async def test_an_ed25519_endpoint_never_shows_its_private_key(service: Service) -> None:
    """What the receiver gets can check and not forge."""
    endpoint = await made(service, "https://crm.example/dni", signature="ed25519")

    assert endpoint["secret"] is None
    assert str(endpoint["public_key"]).startswith("whpk_")
    assert "whsk_" not in (await service.admin("GET", "/webhooks")).text


async def test_the_test_button_sends_now_and_says_what_came_back(
    near: Service, receiver: Receiver
) -> None:
    """The library accepts it; a failing receiver is an answer, not an error of ours."""
    endpoint = await made(near, receiver.url)
    path = f"/webhooks/{endpoint['id']}/test"

    good = await call(near, "POST", path)
    receiver.answer, receiver.body = lambda _: 500, b"out of paper"
    bad = await call(near, "POST", path)

    [first, _] = receiver.came
    payload = Webhook(str(endpoint["secret"])).verify(first.body, first.headers)
    assert payload["type"] == "endpoint.test"
    assert payload["data"]["endpoint_id"] == endpoint["id"]
    assert (good["status"], good["verdict"]) == (204, "taken")
    assert (bad["status"], bad["response_excerpt"]) == (500, "out of paper")


@pytest.mark.parametrize("event_type", ["number.assigned", "lease.ended", "endpoint.disabled"])
async def test_an_example_of_each_type_can_be_sent(
    event_type: str, near: Service, receiver: Receiver
) -> None:
    """In the form the endpoint takes, with an id no real event has."""
    endpoint = await made(near, receiver.url, body="ndjson", signature="ed25519")

    answer = await call(
        near, "POST", f"/webhooks/{endpoint['id']}/example", {"event_type": event_type}
    )

    [one] = receiver.came
    assert f'"type":"{event_type}"'.encode() in one.body
    assert str(answer["event_id"]).startswith("evt_test_")
    assert verify([str(endpoint["public_key"])], headers=one.headers, body=one.body,
                  now_s=time.time())  # fmt: skip


async def test_a_test_does_not_reach_the_inside(service: Service) -> None:
    """The button is no way around the guard."""
    endpoint = await made(service, "https://127.0.0.1/")

    answer = await call(service, "POST", f"/webhooks/{endpoint['id']}/test")

    assert (answer["status"], answer["failure"]) == (None, "refused")


async def test_an_unknown_example_and_an_unknown_endpoint_are_told_apart(service: Service) -> None:
    """422 for the type, 404 for the endpoint, on every route."""
    endpoint = await made(service, "https://crm.example/")
    path = f"/webhooks/{endpoint['id']}"

    unknown = await service.admin("POST", f"{path}/example", {"event_type": "no.such"})
    missing = [
        await service.admin("POST", "/webhooks/whe_none/rotate"),
        await service.admin("POST", "/webhooks/whe_none/test"),
        await service.admin("GET", "/webhooks/whe_none/deliveries"),
        await service.admin("GET", "/webhooks/whe_none/dead-letters"),
        await service.admin("POST", "/webhooks/whe_none/replay", {"dead_letters": True}),
    ]

    assert unknown.status_code == 422
    assert {one.json()["code"] for one in missing} == {"endpoint-unknown"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_ids": []},
        {"event_ids": ["a"], "dead_letters": True},
        {"until": "2027-01-01T00:00:00Z"},
        {"since": "2027-01-01T00:00:00"},
        {"dead_letters": False},
    ],
    ids=str,
)
async def test_a_replay_is_asked_for_in_one_way(body: dict[str, object], service: Service) -> None:
    """An ambiguous order is refused: it would be carried out on somebody's books."""
    endpoint = await made(service, "https://crm.example/")

    answer = await service.admin("POST", f"/webhooks/{endpoint['id']}/replay", body)

    assert answer.status_code == 422


async def test_dead_letters_are_listed_and_sent_again(
    near: Service, connection: Connection, receiver: Receiver
) -> None:
    """With why and since when; after the replay there are none."""
    receiver.answer = lambda _: 422
    endpoint = await made(near, receiver.url)
    path = f"/webhooks/{endpoint['id']}"

    async with (
        HttpTransport(allowed=LOOPBACK) as transport,
        running(forwarder(connection, transport, shards=4)),
    ):
        [sent] = await publish(connection, [assigned("+14155550101")], shard=2)

        async def listed() -> object:
            return (await call(near, "GET", f"{path}/dead-letters"))["dead_letters"]

        await wait_until_async(listed)
        letters = await listed()
        receiver.answer = lambda _: 204
        replayed = await call(near, "POST", f"{path}/replay", {"dead_letters": True})
        await wait_until_async(lambda: receiver.taken)
        left = await listed()

    assert isinstance(letters, list)
    assert [(one["reason"], one["event"]["data"]["event_id"]) for one in letters] == [("422", sent)]
    assert replayed["replayed"] == 1
    assert left == []
    assert receiver.ids() == [sent]


async def test_events_are_sent_again_by_id_and_by_range(
    near: Service, connection: Connection, receiver: Receiver
) -> None:
    """Under the ids they always had, and only those the endpoint wants."""
    endpoint = await made(near, receiver.url, event_types=["number.assigned"])
    path = f"/webhooks/{endpoint['id']}/replay"

    async with (
        HttpTransport(allowed=LOOPBACK) as transport,
        running(forwarder(connection, transport, shards=4)),
    ):
        sent = await publish(
            connection, [assigned(f"+141555501{n:02}") for n in range(10)], shard=1
        )
        await publish(connection, [{"t": "lease.ended", "n": "+14155550101"}], shard=3)
        await wait_until_async(lambda: len(receiver.taken) == 10)
        some = await call(
            near, "POST", path, {"event_ids": [sent[3], sent[3], "evt_s0_1-0", "evt_s99_1-0", "?"]}
        )
        await wait_until_async(lambda: len(receiver.taken) == 11)
        every = await call(near, "POST", path, {"since": "2020-01-01T00:00:00Z"})
        await wait_until_async(lambda: len(receiver.taken) == 21)
        none = await call(
            near, "POST", path, {"since": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}
        )

    assert some == {
        "replayed": 1, "missing": ["evt_s0_1-0", "evt_s99_1-0", "?"], "go_on_since": None,
    }  # fmt: skip
    assert receiver.ids()[10] == sent[3]
    assert every["replayed"] == 10
    assert sorted(receiver.ids()[11:]) == sorted(sent)
    assert none["replayed"] == 0


async def test_the_log_shows_attempts_and_how_the_endpoint_stands(
    near: Service, connection: Connection, receiver: Receiver
) -> None:
    """Newest first, with the heads of both sides; failures can be looked at alone."""
    receiver.answer = lambda one: 503 if one.number.endswith("9") else 204
    receiver.headers = {"x-request-id": "abc"}
    endpoint = await made(near, receiver.url)
    path = f"/webhooks/{endpoint['id']}/deliveries"

    async with (
        HttpTransport(allowed=LOOPBACK) as transport,
        running(forwarder(connection, transport, shards=4)),
    ):
        await publish(connection, [assigned("+14155550101"), assigned("+14155550109")])

        async def both() -> bool:
            found = (await call(near, "GET", path))["deliveries"]
            return isinstance(found, list) and len(found) == 2

        await wait_until_async(both)
        failures = await call(near, "GET", f"{path}?failed=true")

    found = failures["deliveries"]
    standing = failures["standing"]
    assert isinstance(found, list)
    assert isinstance(standing, dict)
    assert [(one["status"], one["verdict"]) for one in found] == [(503, "overloaded")]
    assert found[0]["response_headers"]["x-request-id"] == "abc"
    assert found[0]["request_headers"]["webhook-signature"] == "(not kept)"
    assert (standing["retrying"], standing["dead_letters"]) == (1, 0)
    assert standing["unread_since"] is None
    assert standing["last_taken_at"] is not None


async def test_what_nobody_delivers_is_seen_waiting(service: Service) -> None:
    """No forwarder runs: the endpoint's standing says since when its oldest event waits."""
    endpoint = await made(service, "https://receiver.example/hook")
    path = f"/webhooks/{endpoint['id']}/deliveries"
    before = await call(service, "GET", path)
    started = time.time()
    site = await service.pool("+16025550101", "+16025550102")
    await site.view("v1")
    await site.view("v2")

    after = await call(service, "GET", path)

    assert isinstance(before["standing"], dict)
    assert isinstance(after["standing"], dict)
    assert before["standing"]["unread_since"] is None
    since = datetime.fromisoformat(after["standing"]["unread_since"]).timestamp()
    assert since == pytest.approx(started, abs=60)
