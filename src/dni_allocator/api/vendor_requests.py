"""Requests of telephony vendors: read whole, proven genuine, and only then looked at.

A request that is not the vendor's is refused before anything of it is believed, and nothing is
written. Where a vendor is not set up there is nothing to prove, so nobody gets in.
"""

import time
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import Depends, Request

from dni_allocator.api.routes.tag import public_origin
from dni_allocator.domain.errors import (
    BadSignature,
    BodyTooLarge,
    InvalidRequest,
    TelephonyOff,
)
from dni_allocator.settings import Settings
from dni_allocator.vendors.telnyx import signature as telnyx
from dni_allocator.vendors.twilio import signature as twilio
from dni_allocator.vendors.twilio.signature import TwilioSecrets

LARGEST_BODY = 64 * 1024
MOST_FIELDS = 500
LONGEST_CALL_ID = 256

_FORM = "application/x-www-form-urlencoded"

Form = dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class VendorKeys:
    """What vendors' webhooks are proven by; None: the vendor is not set up."""

    twilio: TwilioSecrets | None = None
    telnyx: Ed25519PublicKey | None = None

    @classmethod
    def of(cls, settings: Settings) -> "VendorKeys":
        """From the settings. Raises `ConfigurationError` for a key that is none."""
        token, shared = settings.twilio_auth_token, settings.twilio_shared_key
        public = settings.telnyx_public_key
        return cls(
            twilio=None
            if token is None
            else TwilioSecrets(
                token.get_secret_value(), None if shared is None else shared.get_secret_value()
            ),
            telnyx=None if public is None else telnyx.public_key(public),
        )

    @property
    def any(self) -> bool:
        """Whether there is a vendor at all."""
        return self.twilio is not None or self.telnyx is not None


async def twilio_form(request: Request) -> Form:
    """The fields of a request that Twilio made.

    Raises `BadSignature`, `TelephonyOff`, `BodyTooLarge`, `InvalidRequest`.
    """
    secrets = _keys(request).twilio
    if secrets is None:
        message = "Twilio is not set up: DNI_TWILIO_AUTH_TOKEN."
        raise TelephonyOff(message)
    body = await _body(request)
    fields = _fields(body) if _is_form(request) else []
    if not twilio.genuine(
        _url(request),
        headers=request.headers,
        fields=fields,
        body=None if _is_form(request) or not body else body,
        secrets=secrets,
    ):
        raise _refused()
    return _checked(dict(fields) if _is_form(request) else _flat(body))


async def telnyx_body(request: Request) -> bytes:
    """The body of a request that Telnyx made just now. Raises as `twilio_form`."""
    key = _keys(request).telnyx
    if key is None:
        message = "Telnyx is not set up: DNI_TELNYX_PUBLIC_KEY."
        raise TelephonyOff(message)
    body = await _body(request)
    if not telnyx.genuine(body, headers=request.headers, key=key, now_s=time.time()):
        raise _refused()
    return body


async def telnyx_form(request: Request) -> Form:
    """The fields of a TeXML request that Telnyx made just now. Raises as `twilio_form`."""
    return _checked(dict(_fields(await telnyx_body(request))))


TwilioForm = Annotated[Form, Depends(twilio_form)]
TelnyxForm = Annotated[Form, Depends(telnyx_form)]
TelnyxBody = Annotated[bytes, Depends(telnyx_body)]


def _keys(request: Request) -> VendorKeys:
    keys: VendorKeys = request.app.state.vendor_keys
    return keys


def _url(request: Request) -> str:
    """The URL as the vendor requested it, byte for byte but for what a proxy changed."""
    path = request.scope.get("raw_path", request.scope["path"].encode()).decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{public_origin(request)}{path}" + (f"?{query}" if query else "")


def _is_form(request: Request) -> bool:
    content_type: str = request.headers.get("content-type", _FORM)
    return content_type.partition(";")[0].strip().lower() == _FORM


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            message = f"The body is over {LARGEST_BODY} bytes."
            raise BodyTooLarge(message)
    return bytes(body)


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        message = f"The form has more than {MOST_FIELDS} fields."
        raise InvalidRequest(message) from error


def _flat(body: bytes) -> Form:
    """The texts of a JSON object, for a webhook that is set to JSON."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def _checked(form: Form) -> Form:
    """A form that names a call."""
    call_id = form.get("CallSid", "")
    if not 0 < len(call_id) <= LONGEST_CALL_ID or not call_id.isprintable():
        raise InvalidRequest.at("CallSid", "Names no call.")
    return form


def _refused() -> BadSignature:
    return BadSignature(
        "The signature is not the vendor's. Check the key, DNI_PUBLIC_URL and the clock."
    )
