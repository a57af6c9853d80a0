"""Vendors ring, and are told where the call goes; what is recorded of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.rig import fictional
from tests.support.service import SHOP, Service, serving
from tests.support.telephony import (
    CALLER,
    SETTINGS,
    asked_by_vendors,
    dial,
    document,
    recorded,
    rung,
    telnyx_of,
    twilio_of,
    twilio_sid,
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


async def test_a_call_rings_where_the_visitor_saw_the_number(service: Service) -> None:
    """Assigned, dialled, answered with the destination, and on record with the marketing data."""
    site = await service.pool(ONE, destinations=[SHOP, SECOND])
    await site.view("ann", destinations=[SECOND], fields={"utm_source": "google"})

    answer = await twilio_of(service, ONE).ring()

    dialled, number = dial(answer)
    assert number.text == SECOND
    assert dialled.get("callerId") == CALLER
    assert (dialled.get("answerOnBridge"), dialled.get("timeout")) == ("true", "25")
    assert dialled.get("record") is None
    assert answer.headers["cache-control"] == "no-store"
    (call,) = await recorded(service)
    assert (call["visitor_id"], call["route_to"]) == ("ann", SECOND)
    assert (call["provider"], call["provider_call_id"]) == ("twilio", twilio_sid("a call"))
    assert (call["caller"], call["fields"]) == (CALLER, {"utm_source": "google"})


async def test_a_whole_call(service: Service) -> None:
    """Rung, answered, over: the record has the length of the conversation and its recording."""
    site = await service.pool(ONE, routing={"record": "dual"})
    await site.view("ann")
    twilio = twilio_of(service, ONE)
    dialled, number = dial(await twilio.ring())
    leg = {"ParentCallSid": twilio.sid, "CallSid": twilio_sid("leg"), "To": SHOP}

    answered = await twilio.follow(
        str(number.get("statusCallback")), CallStatus="in-progress", **leg
    )
    over = await twilio.follow(
        str(dialled.get("action")), DialCallStatus="completed", DialCallSid=twilio_sid("leg"),
        DialCallDuration="73", CallStatus="in-progress",
    )  # fmt: skip
    saved = await twilio.follow(
        str(dialled.get("recordingStatusCallback")), RecordingStatus="completed",
        RecordingSid="RE1", RecordingDuration="72", RecordingChannels="2",
        RecordingUrl="https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1",
    )  # fmt: skip
    ended = await twilio.status(CallStatus="completed", CallDuration="80")

    assert [each.status_code for each in (answered, saved, ended)] == [204, 204, 204]
    assert document(over).find("Hangup") is not None
    (call,) = await recorded(service)
    assert (call["status"], call["duration_s"]) == ("completed", 73)
    assert call["recording_url"].endswith("/Recordings/RE1")
    assert call["answered_at"] is not None
    events = (await service.admin("GET", "/events")).json()["events"]
    kinds = [each["type"] for each in events]
    assert kinds.count("call.started") == 1
    assert kinds.count("call.completed") == 1
    assert "call.qualified" in kinds


async def test_statuses_twice_and_out_of_order_change_nothing(service: Service) -> None:
    """The end is told before the ringing, and everything twice."""
    await service.pool(ONE)
    twilio = twilio_of(service, ONE)
    dialled, _ = dial(await twilio.ring())
    action = str(dialled.get("action"))

    for _ in range(2):
        await twilio.follow(action, DialCallStatus="completed", DialCallDuration="61")
        await twilio.status(CallStatus="completed", CallDuration="70")
        await twilio.status(CallStatus="ringing")

    (call,) = await recorded(service)
    assert (call["status"], call["duration_s"]) == ("completed", 61)
    events = (await service.admin("GET", "/events")).json()["events"]
    assert [each["type"] for each in events].count("call.completed") == 1


async def test_a_caller_who_hung_up_while_it_rang_talked_to_nobody(service: Service) -> None:
    """Twilio says `completed` of their part; the record says that nobody answered."""
    await service.pool(ONE, routing={"announcement": "Hello."})
    twilio = twilio_of(service, ONE)
    await twilio.ring()

    await twilio.status(CallStatus="completed", CallDuration="12")

    (call,) = await recorded(service)
    assert (call["status"], call["duration_s"]) == ("no_answer", None)


async def test_a_status_for_a_call_nobody_recorded_records_it(service: Service) -> None:
    """Its voice webhook went to the vendor's fallback, or was lost with a process."""
    site = await service.pool(ONE)
    await site.view("ann")

    answer = await twilio_of(service, ONE).status(CallStatus="busy")

    assert answer.status_code == 204
    (call,) = await recorded(service)
    assert (call["status"], call["visitor_id"]) == ("busy", "ann")


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_the_next_destination_rings_when_nobody_answers(
    service: Service, status: str
) -> None:
    """In turn, each with a document of its own, and then it is over."""
    await service.pool(ONE, routing={"fallback_destinations": [SECOND, NIGHT]})
    twilio = twilio_of(service, ONE)
    answer = await twilio.ring()
    heard = []
    while (found := document(answer).find("Dial")) is not None:
        heard.append(rung(answer))
        answer = await twilio.follow(str(found.get("action")), DialCallStatus=status)

    assert heard == [SHOP, SECOND, NIGHT]
    assert document(answer).find("Hangup") is not None
    (call,) = await recorded(service)
    assert call["status"] == status.replace("-", "_")


async def test_a_fallback_that_answers_completes_the_call(service: Service) -> None:
    """What came of the first one is not the end."""
    await service.pool(ONE, routing={"fallback_destinations": [SECOND]})
    twilio = twilio_of(service, ONE)
    first, _ = dial(await twilio.ring())
    second, _ = dial(await twilio.follow(str(first.get("action")), DialCallStatus="busy"))
    (meanwhile,) = await recorded(service)

    await twilio.follow(str(second.get("action")), DialCallStatus="completed", DialCallDuration="9")

    (call,) = await recorded(service)
    assert meanwhile["status"] == "ringing"
    assert (call["status"], call["duration_s"]) == ("completed", 9)


@pytest.mark.parametrize("status", ["completed", "answered", "canceled"])
async def test_nobody_is_rung_after_a_conversation_or_for_a_caller_who_left(
    service: Service, status: str
) -> None:
    """The fallback is for calls nobody took."""
    await service.pool(ONE, routing={"fallback_destinations": [SECOND]})
    twilio = twilio_of(service, ONE)
    dialled, _ = dial(await twilio.ring())

    answer = await twilio.follow(str(dialled.get("action")), DialCallStatus=status)

    assert document(answer).find("Dial") is None


async def test_caller_id_whisper_and_recording_are_the_pools(service: Service) -> None:
    """What the destination sees and hears before it is connected."""
    site = await service.pool(
        ONE, campaign="spring",
        routing={"caller_id": "tracking", "record": "mono", "ring_timeout_s": 40,
                 "language": "en-GB", "whisper": "{utm_source} for {campaign}"},
    )  # fmt: skip
    await site.view("ann", fields={"utm_source": "<b>google</b> & co"})
    twilio = twilio_of(service, ONE)

    dialled, number = dial(await twilio.ring())
    whisper = await twilio.follow(str(number.get("url")))

    assert dialled.get("callerId") == ONE
    assert (dialled.get("record"), dialled.get("timeout")) == ("record-from-answer", "40")
    assert dialled.get("recordingStatusCallbackEvent") == "completed"
    (say,) = document(whisper)
    assert (say.tag, say.text) == ("Say", "<b>google</b> & co for spring")
    assert say.get("language") == "en-GB"


async def test_a_fixed_caller_id(service: Service) -> None:
    """A number of the operator's."""
    await service.pool(ONE, routing={"caller_id": SECOND})

    assert dial(await twilio_of(service, ONE).ring())[0].get("callerId") == SECOND


@pytest.mark.parametrize(
    "withheld", ["+266696687", "+86282452253", "anonymous", "sip:a@b.example", ""]
)
async def test_a_withheld_number_is_none(service: Service, withheld: str) -> None:
    """Nothing is shown in its place, and nothing recorded."""
    await service.pool(ONE)

    answer = await twilio_of(service, ONE, caller=withheld).ring()

    assert dial(answer)[0].get("callerId") is None
    assert (await recorded(service))[0]["caller"] is None


async def test_a_caller_with_an_impossible_number_is_put_through(service: Service) -> None:
    """Spam makes numbers up, and so do some telephone systems of customers."""
    await service.pool(ONE)

    answer = await twilio_of(service, ONE, caller="+19999999999").ring()

    assert rung(answer) == SHOP
    assert (await recorded(service))[0]["caller"] == "+19999999999"


async def test_an_announcement_comes_first(service: Service) -> None:
    """It answers the call, so the ringing is not passed on any more."""
    await service.pool(ONE, routing={"announcement": "This call is recorded."})

    answer = await twilio_of(service, ONE).ring()

    said, dialled = document(answer)
    assert (said.tag, said.text) == ("Say", "This call is recorded.")
    assert dialled.get("answerOnBridge") is None


WEEK = {
    "time_zone": "America/Phoenix",
    "weekly": [{"days": ["friday"], "opens": "01:00", "closes": "02:00"}],
}
"""The tests' clock stands at 2027-01-15T08:00Z, a Friday, 01:00 in Phoenix."""


@pytest.mark.parametrize(
    ("after_hours", "told"),
    [
        ({"action": "route", "destination": NIGHT}, NIGHT),
        (CLOSED, "We are closed & asleep."),
        (REJECT, "Reject"),
    ],
)
async def test_outside_business_hours(
    service: Service, after_hours: dict[str, str], told: str
) -> None:
    """Another destination, a message, or nothing at all; within them as ever."""
    await service.pool(ONE, routing={"business_hours": WEEK, "after_hours": after_hours})

    during = await twilio_of(service, ONE, sid="CA1").ring()
    service.clock.advance(seconds=3600)
    outside = await twilio_of(service, ONE, sid="CA2").ring()
    again = await twilio_of(service, ONE, sid="CA1").ring()

    assert rung(during) == SHOP
    assert again.content == during.content
    assert outside_word(outside) == told


def outside_word(answer: httpx.Response) -> str | None:
    """The number rung, the text said, or the verb."""
    first = document(answer)[0]
    return rung(answer) if first.tag == "Dial" else first.text or first.tag


async def test_a_number_of_no_pool_is_turned_away(service: Service) -> None:
    """And nothing is written."""
    before = service.contents()

    answer = await twilio_of(service, TWO).ring()

    assert [each.tag for each in document(answer)] == ["Reject"]
    assert service.contents() == before


@pytest.mark.parametrize(
    ("setting", "told"),
    [(NIGHT, NIGHT), ("Nobody is here.", "Nobody is here."), ("reject", "Reject")],
)
async def test_calls_on_numbers_of_no_pool_are_handled_as_the_service_says(
    redis_url: str, setting: str, told: str
) -> None:
    """`DNI_UNKNOWN_CALLS`: a number that rings, a text that is said, or `reject`."""
    async with serving(redis_url, more={**SETTINGS, "unknown_calls": setting}) as service:
        answer = await twilio_of(service, TWO).ring()

    assert outside_word(answer) == told


async def test_a_call_nobody_is_known_for_is_handled_as_the_pool_says(service: Service) -> None:
    """No page showed the number lately."""
    site = await service.pool(ONE, TWO, routing={"unknown": CLOSED})
    shown = await site.number("ann")
    other = ONE if shown == TWO else TWO

    assert outside_word(await twilio_of(service, other, sid="CA1").ring()) == CLOSED["message"]
    assert outside_word(await twilio_of(service, shown, sid="CA2").ring()) == SHOP


async def test_spam_is_handled_as_the_pool_says(service: Service) -> None:
    """A number in quarantine and a blocked caller; that a number rests after a call is no sign."""
    site = await service.pool(ONE, TWO, routing={"spam": REJECT, "blocked_callers": [CALLER]})
    await service.admin(
        "PUT", f"/pools/{site.pool_id}/numbers/{TWO}/quarantine", {"reason": "spam"}
    )
    friend = "+16025550112"

    blocked = await twilio_of(service, ONE, sid="CA1").ring()
    friendly = await twilio_of(service, ONE, sid="CA2", caller=friend).ring()
    friendly_again = await twilio_of(service, ONE, sid="CA3", caller=friend).ring()
    resting = await twilio_of(service, TWO, sid="CA4", caller=friend).ring()

    assert [outside_word(each) for each in (blocked, friendly, friendly_again, resting)] == [
        "Reject", SHOP, SHOP, "Reject",
    ]  # fmt: skip


async def test_a_shared_number_rings_the_default(service: Service) -> None:
    """Overflow numbers are answered as well."""
    site = await service.pool(overflow_numbers=["+18005550100"])
    await site.view("ann")

    assert rung(await twilio_of(service, "+18005550100").ring()) == SHOP


async def test_texml_is_answered_in_the_same_words(service: Service) -> None:
    """The documented TeXML requests, signed as Telnyx signs, from the ring to the recording."""
    site = await service.pool(
        ONE, routing={"record": "dual", "whisper": "Hello", "fallback_destinations": [SECOND]}
    )
    await site.view("ann")
    telnyx = telnyx_of(service, ONE)

    answer = await telnyx.form("/telephony/telnyx/texml")
    dialled, number = dial(answer)
    whisper = await telnyx.form(str(number.get("url")))
    second = await telnyx.form(str(dialled.get("action")), DialCallStatus="no-answer")
    over = await telnyx.form(
        str(dial(second)[0].get("action")), DialCallStatus="answered", DialCallDuration="120",
        CallStatus="completed",
    )  # fmt: skip
    await telnyx.form(
        "/telephony/telnyx/status", CallStatus="completed", CallDuration="130",
        HangupSource="caller", Timestamp="2027-01-15T08:03:00Z",
    )  # fmt: skip
    await telnyx.form(
        str(dialled.get("recordingStatusCallback")), RecordingStatus="completed",
        RecordingUrl="https://recording.com/your-recording-url", RecordingSource="DialVerb",
    )  # fmt: skip

    assert (number.text, rung(second)) == (SHOP, SECOND)
    assert document(whisper)[0].text == "Hello"
    assert document(over).find("Dial") is None
    (call,) = await recorded(service)
    assert (call["provider"], call["provider_call_id"]) == ("telnyx", telnyx.call_id)
    assert (call["status"], call["duration_s"]) == ("completed", 120)
    assert call["recording_url"] == "https://recording.com/your-recording-url"
