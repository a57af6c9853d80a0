"""Answers to a voice webhook: TwiML, and TeXML, which has the same words.

Made by the standard library: what we say is four elements, and `twilio`, whose builder is the
oracle of the tests, is a client of the whole API. Only attributes that both vendors document.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from dni_allocator.domain.routing import Announce, Connect, Decline, Recording
from dni_allocator.domain.telephony import Answer, Ring

MEDIA_TYPE: Final = "application/xml"

_RECORD: Final = {
    Recording.MONO: "record-from-answer",
    Recording.DUAL: "record-from-answer-dual",
}


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """Where a vendor asks on. `base` is the vendor's part of this service, without a slash."""

    base: str

    def dialed(self, following: int) -> str:
        """What next, now that a destination has rung? `following`: the place of the next one."""
        return f"{self.base}/dialed?{urlencode({'next': following})}"

    def whisper(self, text: str, language: str | None) -> str:
        """What is said to whoever answers. It needs no store, so it is said whatever is broken."""
        query = {"say": text} if language is None else {"say": text, "language": language}
        return f"{self.base}/whisper?{urlencode(query)}"

    @property
    def status(self) -> str:
        """What became of it."""
        return f"{self.base}/status"


def answered(answer: Answer, ring: Ring, *, urls: CallbackUrls, attempt: int = 0) -> bytes:
    """The document for a call; `attempt`: which of the destinations is rung, from 0."""
    response = ET.Element("Response")
    match answer.plan:
        case Decline():
            ET.SubElement(response, "Reject")
        case Announce(text):
            _say(response, text, answer.routing.language)
            ET.SubElement(response, "Hangup")
        case Connect(destinations) if attempt < len(destinations):
            _dial(response, destinations[attempt], answer, ring, urls=urls, following=attempt + 1)
        case Connect():
            ET.SubElement(response, "Hangup")
    return _document(response)


def hung_up() -> bytes:
    """The document that ends a call."""
    response = ET.Element("Response")
    ET.SubElement(response, "Hangup")
    return _document(response)


def said(text: str, *, language: str | None = None) -> bytes:
    """The document that says something and goes on."""
    response = ET.Element("Response")
    _say(response, text, language)
    return _document(response)


def _dial(
    response: ET.Element,
    destination: str,
    answer: Answer,
    ring: Ring,
    *,
    urls: CallbackUrls,
    following: int,
) -> None:
    routing = answer.routing
    speaks_first = routing.announcement is not None and following == 1
    if speaks_first:
        _say(response, routing.announcement or "", routing.language)
    dial = {
        "action": urls.dialed(following),
        "method": "POST",
        "timeout": str(routing.ring_timeout_s),
    }
    if not speaks_first:
        # The caller hears it ring, and pays nothing, until somebody is there.
        dial["answerOnBridge"] = "true"
    caller_id = answer.caller_id(ring)
    if caller_id is not None:
        dial["callerId"] = caller_id
    if routing.record in _RECORD:
        dial |= {
            "record": _RECORD[routing.record],
            "recordingStatusCallback": urls.status,
            "recordingStatusCallbackMethod": "POST",
            "recordingStatusCallbackEvent": "completed",
        }
    number = {
        "statusCallback": urls.status,
        "statusCallbackMethod": "POST",
        "statusCallbackEvent": "answered",
    }
    if answer.whisper:
        number |= {"url": urls.whisper(answer.whisper, routing.language), "method": "POST"}
    ET.SubElement(ET.SubElement(response, "Dial", dial), "Number", number).text = destination


def _say(response: ET.Element, text: str, language: str | None) -> None:
    spoken = ET.SubElement(response, "Say", {} if language is None else {"language": language})
    spoken.text = _clean(text)


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 does not know; a page may have told some."""
    return "".join(each for each in text if each.isprintable())


def _document(response: ET.Element) -> bytes:
    document: bytes = ET.tostring(response, encoding="utf-8", xml_declaration=True)
    return document
