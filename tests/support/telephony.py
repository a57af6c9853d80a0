"""Telephony vendors as their documentation describes them, scripted: they sign and post.

Twilio's signatures are made by Twilio's own package, Telnyx' by the key of a test. The field names
and values are those of the vendors' documented examples, but for numbers, which are fictional.
"""

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
import orjson
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no types

from tests.support import invariants
from tests.support.service import Service, serving

PUBLIC_URL: Final = "https://dni.example"
"""Where the vendors believe the service to be: behind a proxy, at another name than it knows."""

AUTH_TOKEN: Final = "0123456789abcdef0123456789abcdef"
ACCOUNT: Final = "AC00000000000000000000000000000001"
CALLER: Final = "+16025550111"
SIGNING_KEY: Final = Ed25519PrivateKey.from_private_bytes(
    hashlib.sha256(b"the Telnyx account of the tests").digest()
)
TELNYX_PUBLIC_KEY: Final = base64.b64encode(SIGNING_KEY.public_key().public_bytes_raw()).decode()

SETTINGS: Final[dict[str, object]] = {
    "public_url": PUBLIC_URL,
    "twilio_auth_token": AUTH_TOKEN,
    "telnyx_public_key": TELNYX_PUBLIC_KEY,
}
"""Of a service that both vendors ask."""

Form = dict[str, str]


def twilio_sid(name: str) -> str:
    """A CallSid: CA and 32 hexadecimal digits, the same for the same name."""
    return "CA" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Twilio:
    """Twilio, calling the service on behalf of one caller's call."""

    http: httpx.AsyncClient
    number: str
    sid: str = field(default_factory=lambda: twilio_sid("a call"))
    caller: str = CALLER
    token: str = AUTH_TOKEN
    base: str = PUBLIC_URL

    def call(self, **more: str) -> Form:
        """What every request about the call has."""
        return {
            "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", "CallSid": self.sid,
            "CallStatus": "ringing", "Called": self.number, "CalledCountry": "US",
            "CalledState": "AZ", "CalledZip": "", "Caller": self.caller, "CallerCountry": "US",
            "Direction": "inbound", "From": self.caller, "FromCity": "PHOENIX",
            "FromCountry": "US", "FromState": "AZ", "To": self.number, "ToCountry": "US", **more,
        }  # fmt: skip

    def signature(self, path: str, form: Form) -> str:
        """As Twilio's own package makes it."""
        made: str = RequestValidator(self.token).compute_signature(self.base + path, form)
        return made

    async def post(self, path: str, form: Form, *, signature: str | None = None) -> httpx.Response:
        """One webhook; signed rightly unless told otherwise."""
        return await self.http.post(
            path,
            content=urlencode(form),
            headers={
                "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
                "X-Twilio-Signature": signature or self.signature(path, form),
            },
        )

    async def ring(self) -> httpx.Response:
        """The call comes in."""
        return await self.post("/telephony/twilio/voice", self.call())

    async def follow(self, url: str, **more: str) -> httpx.Response:
        """What a document told Twilio to request."""
        assert url.startswith(PUBLIC_URL), url
        return await self.post(url.removeprefix(PUBLIC_URL), self.call(**more))

    async def status(self, **more: str) -> httpx.Response:
        """A status callback about the caller's call."""
        more = {"CallbackSource": "call-progress-events", "SequenceNumber": "0", **more}
        return await self.post("/telephony/twilio/status", self.call(**more))


@dataclass(slots=True)
class Telnyx:
    """Telnyx, posting TeXML requests and events."""

    http: httpx.AsyncClient
    number: str
    now_s: int
    """By its own clock, which the service compares with its own."""
    caller: str = CALLER
    call_id: str = "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ"
    session: str = "428c31b6-abf3-3bc1-b7f4-5013ef9657c1"
    key: Ed25519PrivateKey = SIGNING_KEY

    async def post(
        self, path: str, body: bytes, *, content_type: str, signed_s: int | None = None
    ) -> httpx.Response:
        """One webhook, signed at `signed_s`."""
        at = str(self.now_s if signed_s is None else signed_s)
        signature = self.key.sign(at.encode() + b"|" + body)
        return await self.http.post(
            path,
            content=body,
            headers={
                "Content-Type": content_type,
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
                "telnyx-timestamp": at,
            },
        )

    def call(self, **more: str) -> Form:
        """What every TeXML request about the call has."""
        return {
            "AccountSid": "f5586561-8ff0-4291-a51b-c7dfe4139ff9", "CallSid": self.call_id,
            "CallSidLegacy": self.call_id, "ConnectionId": "1234567890", "From": self.caller,
            "To": self.number, "CallStatus": "ringing", **more,
        }  # fmt: skip

    async def form(self, path: str, **more: str) -> httpx.Response:
        """A TeXML request."""
        return await self.post(
            path.removeprefix(PUBLIC_URL),
            urlencode(self.call(**more)).encode(),
            content_type="application/x-www-form-urlencoded",
        )

    async def event(
        self,
        kind: str,
        *,
        event_id: str = "",
        at: str = "2027-01-15T08:00:00.000000Z",
        **payload: object,
    ) -> httpx.Response:
        """A Call Control event, as documented."""
        told = {
            "call_control_id": self.call_id, "connection_id": "7267xxxxxxxxxxxxxx",
            "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
            "call_session_id": self.session, "client_state": None, "from": self.caller,
            "to": self.number, "start_time": at, **payload,
        }  # fmt: skip
        body = {
            "data": {
                "record_type": "event", "event_type": kind, "occurred_at": at,
                "id": event_id or f"{kind} {told['client_state']} {told['call_control_id']}",
                "payload": told,
            },
            "meta": {"attempt": 1, "delivered_to": f"{PUBLIC_URL}/telephony/telnyx/call-control"},
        }  # fmt: skip
        return await self.post(
            "/telephony/telnyx/call-control", orjson.dumps(body), content_type="application/json"
        )


def document(answer: httpx.Response) -> ET.Element:
    """The TwiML of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    return ET.fromstring(answer.content)  # noqa: S314 - made by the service under test


def dial(answer: httpx.Response) -> tuple[ET.Element, ET.Element]:
    """The Dial of an answer, and the Number in it."""
    found = document(answer).find("Dial")
    assert found is not None, answer.text
    number = found.find("Number")
    assert number is not None, answer.text
    return found, number


def rung(answer: httpx.Response) -> str | None:
    """The number an answer has ring."""
    return dial(answer)[1].text


async def recorded(service: Service) -> list[dict[str, Any]]:
    """The calls on record, the newest first, with what is known of their visitor."""
    answer = await service.admin("GET", "/calls")
    assert answer.status_code == 200, answer.text
    return [{**each["attribution"], **each} for each in answer.json()["calls"]]


@asynccontextmanager
async def asked_by_vendors(redis_url: str) -> AsyncIterator[Service]:
    """The service with both vendors' keys; the invariants are checked at the end."""
    async with serving(redis_url, more=SETTINGS) as running:
        yield running
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


def twilio_of(service: Service, number: str, **more: str) -> Twilio:
    """Twilio, with a call on a number."""
    return Twilio(service.http, number, **more)


def telnyx_of(service: Service, number: str) -> Telnyx:
    """Telnyx, by the wall clock: its signatures are compared with that."""
    return Telnyx(service.http, number, now_s=int(time.time()))
