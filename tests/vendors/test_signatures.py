"""Signatures of vendors' webhooks: published vectors, and Twilio's own package as a judge."""

import base64
import hashlib
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no types

from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.vendors.telnyx import signature as telnyx
from dni_allocator.vendors.twilio import signature as twilio
from dni_allocator.vendors.twilio.signature import TwilioSecrets

# The example of Twilio's documentation and of its packages' own tests.
URL: Final = "https://mycompany.com/myapp.php?foo=1&bar=2"
SECRETS: Final = TwilioSecrets("12345")
FIELDS: Final = [
    ("To", "+18005551212"), ("Digits", "1234"), ("From", "+12349013030"),
    ("Caller", "+12349013030"), ("CallSid", "CA1234567890ABCDE"),
]  # fmt: skip
PUBLISHED: Final = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def is_twilio(
    url: str,
    signature: str,
    *,
    fields: list[tuple[str, str]] | None = None,
    body: bytes | None = None,
    settings: str | None = None,
    secrets: TwilioSecrets = SECRETS,
) -> bool:
    """What we say of a request."""
    headers = {"x-twilio-signature": signature}
    if settings is not None:
        headers["x-twilio-webhooks-signature-settings"] = settings
    return twilio.genuine(url, headers=headers, fields=fields or [], body=body, secrets=secrets)


def test_the_published_vector_of_twilio() -> None:
    """URL, fields and token of the documentation give its signature."""
    assert twilio.signature(URL, FIELDS, secret="12345").decode() == PUBLISHED
    assert is_twilio(URL, PUBLISHED, fields=FIELDS)


@pytest.mark.parametrize(
    "url",
    ["https://mycompany.com:443/myapp.php?foo=1&bar=2", "https://mycompany.com:8443/myapp.php?foo=1&bar=2"],
)  # fmt: skip
def test_a_port_may_be_in_the_url_or_not(url: str) -> None:
    """Signed without it and asked with it, and the other way round: Twilio does both."""
    with_port = RequestValidator("12345").compute_signature(url, dict(FIELDS))

    assert is_twilio(url, PUBLISHED, fields=FIELDS)
    assert is_twilio(url, with_port, fields=FIELDS)


def test_a_standard_port_that_only_twilio_knows() -> None:
    """Twilio signed `:443`, we are known without it."""
    signed = RequestValidator("12345").compute_signature(
        "https://mycompany.com:443/myapp.php?foo=1&bar=2", dict(FIELDS)
    )

    assert is_twilio(URL, signed, fields=FIELDS)


@pytest.mark.parametrize(
    ("url", "signature", "fields"),
    [
        (URL, PUBLISHED, [*FIELDS[1:], ("To", "+18005551213")]),
        (URL, PUBLISHED, FIELDS[1:]),
        (URL, PUBLISHED, [*FIELDS, ("More", "")]),
        (URL.replace("https", "http"), PUBLISHED, FIELDS),
        (URL.replace("foo=1", "foo=2"), PUBLISHED, FIELDS),
        (URL.replace(".com", ".org"), PUBLISHED, FIELDS),
        (URL, PUBLISHED.lower(), FIELDS),
        (URL, PUBLISHED[:-1], FIELDS),
        (URL, "", FIELDS),
        (URL, "ü", FIELDS),
    ],
)
def test_anything_else_than_what_was_signed_is_not_twilio(
    url: str, signature: str, fields: list[tuple[str, str]]
) -> None:
    """A changed field, a changed URL, a changed signature, none at all."""
    assert not is_twilio(url, signature, fields=fields)


class Repeated(dict[str, list[str]]):
    """Fields as the judge takes them where a name comes several times."""

    def getlist(self, name: str) -> list[str]:
        """All values of a name."""
        return self[name]


@given(
    st.lists(st.tuples(st.text("aAbZ_", min_size=1, max_size=3), st.text(max_size=5)), max_size=8)
)
def test_our_signature_is_that_of_twilios_package(fields: list[tuple[str, str]]) -> None:
    """For any fields: out of order, repeated, empty, in any alphabet."""
    fields = [(name, value.encode("utf-8", "replace").decode()) for name, value in fields]
    repeated = Repeated()
    for name, value in fields:
        repeated.setdefault(name, []).append(value)

    ours = twilio.signature(URL, fields, secret="12345").decode()

    assert ours == RequestValidator("12345").compute_signature(URL, repeated)


def test_a_json_body_is_vouched_for_by_its_hash_in_the_url() -> None:
    """The vector of Twilio's packages for JSON."""
    body = b'{"property": "value", "boolean": true}'
    url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    signed = RequestValidator("12345").compute_signature(url, {})

    assert RequestValidator("12345").validate(url, body.decode(), signed)
    assert is_twilio(url, signed, body=body)
    assert not is_twilio(url, signed, body=body + b" ")


def test_a_json_body_nobody_vouches_for_is_refused() -> None:
    """The signature is right, but says nothing of the body."""
    signed = RequestValidator("12345").compute_signature(URL, {})

    assert is_twilio(URL, signed)
    assert not is_twilio(URL, signed, body=b"{}")


def test_a_shared_key_signs_with_sha256() -> None:
    """Where a Webhook Rule of the account says so, the request names the algorithm."""
    secrets = TwilioSecrets("12345", shared_key="shared")
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    signed = RequestValidator("shared").compute_signature(URL, dict(FIELDS), "HMAC_SHA256")

    assert is_twilio(URL, signed, fields=FIELDS, settings=settings, secrets=secrets)
    assert not is_twilio(URL, signed, fields=FIELDS, settings=settings)
    assert not is_twilio(URL, signed, fields=FIELDS, secrets=secrets)
    assert not is_twilio(
        URL, signed, fields=FIELDS, settings="key=k,algorithm=HMAC_MD5", secrets=secrets
    )


# The first private key of RFC 8032, section 7.1. Telnyx publishes how it signs, and no vector: its
# packages' own tests make a key each time.
KEY: Final = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
PUBLIC: Final = telnyx.public_key(base64.b64encode(KEY.public_key().public_bytes_raw()).decode())
BODY: Final = b'{"data": {"event_type": "call.initiated"}}'
NOW_S: Final = 1_800_000_000


def is_telnyx(
    body: bytes = BODY, *, at: str = str(NOW_S), now_s: float = NOW_S, signature: str | None = None
) -> bool:
    """What we say of a request that Telnyx signed at `at`, unless told otherwise."""
    if signature is None:
        signature = base64.b64encode(KEY.sign(at.encode() + b"|" + BODY)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": at}
    return telnyx.genuine(body, headers=headers, key=PUBLIC, now_s=now_s)


def test_the_public_key_is_that_of_the_published_vector() -> None:
    """Base64 of RFC 8032's public key, and the empty message's signature holds."""
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )

    assert PUBLIC.public_bytes_raw().hex() == public
    PUBLIC.verify(bytes.fromhex(signature), b"")


@pytest.mark.parametrize("late_s", [-300, -1, 0, 299, 300])
def test_telnyx_within_five_minutes(late_s: int) -> None:
    """Either way, since clocks differ."""
    assert is_telnyx(now_s=NOW_S + late_s)


@pytest.mark.parametrize("late_s", [-301, 301, 86_400])
def test_a_recorded_request_is_no_use_after_five_minutes(late_s: int) -> None:
    """The signature is right, and too old or of the future."""
    assert not is_telnyx(now_s=NOW_S + late_s)


@pytest.mark.parametrize(
    "at",
    ["", "0", f" {NOW_S}", f"{NOW_S}.0", "-1", "9" * 400, "\N{SUPERSCRIPT TWO}", f"{NOW_S + 1}"],
)
def test_a_timestamp_that_is_not_the_signed_one(at: str) -> None:
    """Another instant, or none: refused, whatever is signed."""
    signature = base64.b64encode(KEY.sign(f"{NOW_S}|".encode() + BODY)).decode()

    assert not is_telnyx(at=at, signature=signature)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "ü", "A" * 88])
def test_a_signature_that_is_none(signature: str) -> None:
    """Nothing of it raises."""
    assert not is_telnyx(signature=signature)


def test_another_body_is_not_telnyx() -> None:
    """One byte is enough."""
    assert not is_telnyx(BODY + b" ")


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!", "A" * 500])
def test_a_public_key_that_is_none_ends_the_start(key: str) -> None:
    """With one sentence, rather than refusing every call later."""
    with pytest.raises(ConfigurationError, match="DNI_TELNYX_PUBLIC_KEY"):
        telnyx.public_key(key)
