"""Vendors' signatures: what was signed is genuine, and with one change it is not."""

import base64
import hashlib
from typing import Final

import hypothesis.strategies as st
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no types

from dni_allocator.vendors.telnyx import signature as telnyx
from dni_allocator.vendors.twilio import signature as twilio
from dni_allocator.vendors.twilio.signature import TwilioSecrets
from tests.support.fuzzing import FUZZ, TEXT, Count

SECRETS: Final = TwilioSecrets("token")
TWILIO: Final = RequestValidator("token")  # the oracle: Twilio's own package
TELNYX: Final = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
URL: Final = "https://dni.example/telephony/twilio/voice"

NAME: Final = st.sampled_from(["CallSid", "From", "To", "CallStatus", "A", "a", "Ä"]) | TEXT
FIELDS: Final = st.dictionaries(NAME, TEXT, min_size=1, max_size=6)


@FUZZ
@given(fields=FIELDS, query=st.text("abc=&%+1", max_size=20), at=st.integers(0, 5), more=TEXT)
def test_twilios_own_signature_holds_for_its_request_only(
    count: Count, fields: dict[str, str], query: str, at: int, more: str
) -> None:
    """Signed by Twilio's package; then a value, a name, the address or the token is another."""
    url = f"{URL}?{query}" if query else URL
    headers = {"x-twilio-signature": TWILIO.compute_signature(url, fields)}
    name = sorted(fields)[at % len(fields)]
    rest = {each: value for each, value in fields.items() if each != name}
    assume(more and name + fields[name] and f"{name}~" not in fields)
    changed = [
        (url, {**fields, name: fields[name] + more}),
        (url, rest),
        (url, {**fields, f"{name}~": more}),
        (f"{url}~", fields),
    ]

    def genuine(url: str, fields: dict[str, str], secrets: TwilioSecrets = SECRETS) -> bool:
        return twilio.genuine(
            url, headers=headers, fields=list(fields.items()), body=None, secrets=secrets
        )

    count("requests of Twilio, signed and changed")
    assert genuine(url, fields)
    assert not genuine(url, fields, TwilioSecrets("another"))
    assert [each for each in changed if genuine(*each)] == []


@FUZZ
@given(
    body=st.binary(max_size=300), more=st.binary(min_size=1, max_size=9), at=st.integers(0, 2**33)
)
def test_telnyx_signature_holds_for_its_body_and_time_only(
    count: Count, body: bytes, more: bytes, at: int
) -> None:
    """Signed with the key of the account; then body, time or key is another."""
    signed = base64.b64encode(TELNYX.sign(f"{at}|".encode() + body)).decode()
    headers = {"telnyx-signature-ed25519": signed, "telnyx-timestamp": str(at)}
    later = {**headers, "telnyx-timestamp": str(at + 1)}
    other = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(more).digest())
    key = TELNYX.public_key()

    count("requests of Telnyx, signed and changed")
    assert telnyx.genuine(body, headers=headers, key=key, now_s=at)
    assert not telnyx.genuine(body + more, headers=headers, key=key, now_s=at)
    assert not telnyx.genuine(body, headers=later, key=key, now_s=at)
    assert not telnyx.genuine(body, headers=headers, key=other.public_key(), now_s=at)
    assert not telnyx.genuine(body, headers=headers, key=key, now_s=at + 301)
    assert not telnyx.genuine(body, headers=headers, key=key, now_s=at - 301)
