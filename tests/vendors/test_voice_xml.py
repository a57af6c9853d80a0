"""Documents for vendors: the same as Twilio's own builder makes, of words that both document."""

from typing import Final
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]  # no types

from dni_allocator.domain.routing import Announce, Connect, Decline, Recording, Routing
from dni_allocator.domain.telephony import Answer, Ring
from dni_allocator.vendors.voice_xml import CallbackUrls, answered, hung_up, said

SHOP, SECOND, NUMBER, CALLER = "+16025550142", "+16025550188", "+16025550100", "+16025550111"
RING: Final = Ring(vendor="twilio", call_id="CA1", number=NUMBER, caller=CALLER)
BASE: Final = "https://dni.example/telephony/twilio"
URLS: Final = CallbackUrls(BASE)
FULL: Final = Routing(record=Recording.DUAL, ring_timeout_s=40, announcement="Hello & welcome")

# https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs: what TeXML documents of
# the words we use.
TEXML: Final = {
    "Response": set[str](),
    "Say": {"voice", "language", "loop"},
    "Reject": {"reason"},
    "Hangup": set[str](),
    "Dial": {
        "action", "method", "callerId", "fromDisplayName", "hangupOnStar", "timeout", "timeLimit",
        "record", "recordingChannels", "recordMaxLength", "recordingStatusCallback",
        "recordingStatusCallbackMethod", "recordingStatusCallbackEvent", "sendRecordingUrl",
        "ringTone", "audioUrl", "answerOnBridge", "passDiversionHeader",
    },
    "Number": {
        "statusCallback", "statusCallbackEvent", "statusCallbackMethod", "url", "method",
        "sendDigits", "machineDetection", "detectionMode", "machineDetectionTimeout",
    },
}  # fmt: skip


def same(ours: bytes, theirs: VoiceResponse) -> bool:
    """Whether two documents say the same: order of attributes is none."""
    return ET.canonicalize(ours) == ET.canonicalize(str(theirs))


def test_a_plain_call() -> None:
    """It rings where it belongs, with the caller's number."""
    expected = VoiceResponse()
    dial = expected.dial(
        action=f"{BASE}/dialed?next=1", method="POST", timeout=25, caller_id=CALLER,
        answer_on_bridge=True,
    )  # fmt: skip
    dial.number(
        SHOP, status_callback=f"{BASE}/status", status_callback_event="answered",
        status_callback_method="POST",
    )  # fmt: skip

    assert same(answered(Answer(plan=Connect((SHOP,))), RING, urls=URLS), expected)


def test_everything_at_once() -> None:
    """Announced, recorded, whispered, the second of two destinations to follow."""
    expected = VoiceResponse()
    expected.say("Hello & welcome")
    dial = expected.dial(
        action=f"{BASE}/dialed?next=1", method="POST", timeout=40, caller_id=CALLER,
        record="record-from-answer-dual", recording_status_callback=f"{BASE}/status",
        recording_status_callback_method="POST", recording_status_callback_event="completed",
    )  # fmt: skip
    dial.number(
        SHOP, url=f"{BASE}/whisper?say=google+%26+co", method="POST",
        status_callback=f"{BASE}/status", status_callback_event="answered",
        status_callback_method="POST",
    )  # fmt: skip
    answer = Answer(plan=Connect((SHOP, SECOND)), routing=FULL, whisper="google & co")

    assert same(answered(answer, RING, urls=URLS), expected)


def test_the_next_destination_is_not_announced_again() -> None:
    """The caller has heard it."""
    answer = Answer(plan=Connect((SHOP, SECOND)), routing=FULL)

    found = ET.fromstring(answered(answer, RING, urls=URLS, attempt=1))  # noqa: S314 - ours

    (dial,) = found
    assert dial.findtext("Number") == SECOND
    assert dial.get("action") == f"{BASE}/dialed?next=2"


def test_a_message_a_refusal_and_the_end() -> None:
    """And a destination behind the last one."""
    message, refusal, end = VoiceResponse(), VoiceResponse(), VoiceResponse()
    message.say("Closed <now>", language="en-GB")
    message.hangup()
    refusal.reject()
    end.hangup()
    spoken = Routing(language="en-GB")

    assert same(
        answered(Answer(plan=Announce("Closed <now>"), routing=spoken), RING, urls=URLS), message
    )
    assert same(answered(Answer(plan=Decline()), RING, urls=URLS), refusal)
    assert same(answered(Answer(plan=Connect((SHOP,))), RING, urls=URLS, attempt=1), end)
    assert same(hung_up(), end)


@pytest.mark.parametrize(
    ("caller_id", "caller", "shown"),
    [("caller", CALLER, CALLER), ("caller", None, None), ("tracking", CALLER, NUMBER),
     ("tracking", None, NUMBER), (SECOND, CALLER, SECOND), (SECOND, None, SECOND)],
)  # fmt: skip
def test_the_caller_id(caller_id: str, caller: str | None, shown: str | None) -> None:
    """The caller's, the tracking number or a fixed one; a withheld number stays withheld."""
    ring = Ring(vendor="twilio", call_id="CA1", number=NUMBER, caller=caller)
    answer = Answer(plan=Connect((SHOP,)), routing=Routing(caller_id=caller_id))

    found = ET.fromstring(answered(answer, ring, urls=URLS)).find("Dial")  # noqa: S314 - ours

    assert found is not None
    assert found.get("callerId") == shown


@given(st.text(max_size=50))
def test_whatever_is_said_is_a_document(text: str) -> None:
    """Control characters, half a surrogate, markup: it can be parsed, and nothing is injected."""
    (say,) = ET.fromstring(said(text))  # noqa: S314 - ours

    assert (say.text or "") == "".join(each for each in text if each.isprintable())
    assert len(say) == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(plan=Connect((SHOP,)), routing=FULL, whisper="Hello"),
        Answer(plan=Connect((SHOP,)), routing=Routing(record=Recording.MONO, language="en-US")),
        Answer(plan=Announce("Closed"), routing=Routing(language="en-US")),
        Answer(plan=Decline()),
    ],
)
def test_only_words_that_telnyx_documents(answer: Answer) -> None:
    """So that the same document is good for both."""
    for element in ET.fromstring(answered(answer, RING, urls=URLS)).iter():  # noqa: S314 - ours
        assert set(element.keys()) <= TEXML[element.tag], element.tag
