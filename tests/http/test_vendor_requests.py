"""Who may ask about calls: what is signed, and what of it is believed."""

from collections.abc import AsyncIterator

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no types

from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, serving
from tests.support.telephony import (
    AUTH_TOKEN,
    CALLER,
    PUBLIC_URL,
    asked_by_vendors,
    recorded,
    rung,
    telnyx_of,
    twilio_of,
)

ONE, TWO = fictional(2)
SECOND, NIGHT = "+16025550142", "+16025550199"
REJECT = {"action": "reject"}
CLOSED = {"action": "message", "message": "We are closed & asleep."}


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Service]:
    """The service, asked by both vendors."""
    async with asked_by_vendors(redis_url) as running:
        yield running


@pytest.mark.parametrize(
    ("signature", "base"),
    [("", PUBLIC_URL), ("wrong", PUBLIC_URL), (None, "https://elsewhere.example")],
)
@pytest.mark.parametrize(
    "path",
    ["/telephony/twilio/voice", "/telephony/twilio/status", "/telephony/twilio/dialed?next=1",
     "/telephony/twilio/whisper?say=hello"],
)  # fmt: skip
async def test_what_twilio_did_not_sign_is_refused_and_nothing_is_written(
    service: Service, path: str, signature: str | None, base: str
) -> None:
    """No signature, a wrong one, one for another service."""
    site = await service.pool(ONE)
    await site.view("ann")
    before = service.contents()
    twilio = twilio_of(service, ONE, base=base)

    answer = await twilio.post(
        path, twilio.call(CallStatus="completed"), signature="-" if signature == "" else signature
    )

    assert_problem(answer, 403, "bad-signature")
    assert ONE not in answer.text
    assert service.contents() == before


async def test_another_accounts_token_opens_nothing(service: Service) -> None:
    """The right URL and the right fields, signed by somebody else."""
    await service.pool(ONE)
    before = service.contents()

    answer = await twilio_of(service, ONE, token="f" * 32).ring()

    assert_problem(answer, 403, "bad-signature")
    assert service.contents() == before


async def test_a_changed_field_is_refused(service: Service) -> None:
    """Somebody saw a request and would like to hear another number ring."""
    await service.pool(ONE, TWO)
    twilio = twilio_of(service, ONE)
    signature = twilio.signature("/telephony/twilio/voice", twilio.call())

    answer = await twilio.post("/telephony/twilio/voice", twilio.call(To=TWO), signature=signature)

    assert_problem(answer, 403, "bad-signature")


async def test_a_signature_with_the_port_in_the_url_counts(service: Service) -> None:
    """Twilio puts `:443` into some of the URLs it signs."""
    await service.pool(ONE)

    answer = await twilio_of(service, ONE, base="https://dni.example:443").ring()

    assert rung(answer) == SHOP


async def test_a_json_webhook_counts_by_its_hash(service: Service) -> None:
    """Where an account sends JSON, the URL carries the hash of the body."""
    await service.pool(ONE)
    body = f'{{"CallSid": "CA1", "From": "{CALLER}", "To": "{ONE}"}}'
    digest = RequestValidator(AUTH_TOKEN).compute_hash(body)
    path = f"/telephony/twilio/voice?bodySHA256={digest}"
    signature = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + path, {})
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature}

    good = await service.http.post(path, content=body, headers=headers)
    bad = await service.http.post(path, content=body.replace(ONE, TWO), headers=headers)

    assert rung(good) == SHOP
    assert_problem(bad, 403, "bad-signature")


async def test_the_same_request_twice_is_one_call_with_one_answer(service: Service) -> None:
    """Replayed by whoever saw it, or repeated by Twilio: nothing changes."""
    site = await service.pool(ONE)
    await site.view("ann")
    twilio = twilio_of(service, ONE)

    first = await twilio.ring()
    before = await recorded(service)
    service.clock.advance(seconds=7200)
    second = await twilio.ring()

    assert second.content == first.content
    assert await recorded(service) == before
    assert len(before) == 1


async def test_no_page_can_have_a_number_of_its_choice_dialled(service: Service) -> None:
    """Toll fraud: a destination that is on no list, fields that look like settings, a query."""
    site = await service.pool(ONE)
    evil = "+18765550123"
    await site.view(
        "eve", destinations=[SHOP, evil],
        fields={"route_to": evil, "destination": evil, "utm_source": f"</Say><Dial>{evil}</Dial>"},
    )  # fmt: skip
    twilio = twilio_of(service, ONE)

    answer = await twilio.ring()
    queried = await twilio.post(f"/telephony/twilio/voice?To={evil}", twilio.call())

    assert rung(answer) == SHOP
    assert rung(queried) == SHOP
    assert evil not in answer.text


@pytest.mark.parametrize(
    ("form", "field"),
    [({}, "CallSid"), ({"CallSid": ""}, "CallSid"), ({"CallSid": "x" * 257}, "CallSid")],
)
async def test_a_request_without_a_call_is_refused(
    service: Service, form: dict[str, str], field: str
) -> None:
    """Genuine, and about nothing."""
    answer = await twilio_of(service, ONE).post("/telephony/twilio/voice", form)

    assert_problem(answer, 422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == field


async def test_a_huge_body_is_not_read(service: Service) -> None:
    """64 KB are plenty for a form."""
    answer = await twilio_of(service, ONE).post(
        "/telephony/twilio/voice", {"CallSid": "x" * 70_000}
    )

    assert_problem(answer, 413, "body-too-large")


@pytest.mark.parametrize(
    "path",
    ["twilio/voice", "twilio/status", "twilio/dialed?next=1", "twilio/whisper", "telnyx/texml",
     "telnyx/status", "telnyx/dialed?next=1", "telnyx/whisper", "telnyx/call-control"],
)  # fmt: skip
async def test_a_vendor_that_is_not_set_up_is_not_there(redis_url: str, path: str) -> None:
    """Without its key nothing could be proven, so nobody is let in."""
    async with serving(redis_url) as service:
        answer = await service.http.post(f"/telephony/{path}", content=b"CallSid=CA1")

    assert_problem(answer, 404, "telephony-off")


# The clock goes on meanwhile, so what lies ahead comes nearer.
@pytest.mark.parametrize("off_s", [-301, 400])
async def test_a_recorded_telnyx_request_is_refused_later(service: Service, off_s: int) -> None:
    """The signature is right; the clock is not."""
    await service.pool(ONE)
    before = service.contents()
    telnyx = telnyx_of(service, ONE)

    answer = await telnyx.post(
        "/telephony/telnyx/texml", b"CallSid=v3%3A1&To=%2B16025550100",
        content_type="application/x-www-form-urlencoded", signed_s=telnyx.now_s + off_s,
    )  # fmt: skip

    assert_problem(answer, 403, "bad-signature")
    assert service.contents() == before


async def test_a_telnyx_request_twice_within_the_window_is_one_call(service: Service) -> None:
    """The same answer, and one record."""
    await service.pool(ONE)
    telnyx = telnyx_of(service, ONE)

    first = await telnyx.form("/telephony/telnyx/texml")
    second = await telnyx.form("/telephony/telnyx/texml")

    assert second.content == first.content
    assert len(await recorded(service)) == 1
