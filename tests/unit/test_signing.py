"""Signatures, with the library of Standard Webhooks as the judge."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.webhooks.signing import (
    SignatureMismatch,
    StaleTimestamp,
    check_secret,
    key_of,
    new_private_key,
    new_secret,
    public_key_of,
    sign,
    verify,
)

SECRET = new_secret(b"0123456789abcdef0123456789abcdef")
OLDER = new_secret(b"fedcba9876543210fedcba9876543210")
NOW = 1_795_344_299


def headers(signature: str, *, timestamp_s: int = NOW) -> dict[str, str]:
    """What a delivery carries."""
    return {
        "webhook-id": "evt_s0_1-0",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature,
    }


def test_the_vector_of_the_specification() -> None:
    """The published example: its secret, id, time and body give its signature."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'

    signature = sign(
        [secret], message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    key=st.binary(min_size=24, max_size=64),
    body=st.text(st.characters(exclude_categories=["Cs"])),
    timestamp_s=st.integers(min_value=0, max_value=4_000_000_000),
)
def test_the_library_signs_the_same(key: bytes, body: str, timestamp_s: int) -> None:
    """For any key, body and time, receivers that use the library get what they expect."""
    secret = new_secret(key)

    ours = sign([secret], message_id="evt_s0_1-0", timestamp_s=timestamp_s, body=body.encode())

    moment = datetime.fromtimestamp(timestamp_s, UTC)
    assert ours == Webhook(secret).sign("evt_s0_1-0", moment, body)


def test_the_library_accepts_a_rotated_secret() -> None:
    """While a secret is changed, receivers with the old and with the new one both accept."""
    now_s = int(datetime.now(UTC).timestamp())
    signature = sign([SECRET, OLDER], message_id="evt_s0_1-0", timestamp_s=now_s, body=b"{}")

    for secret in (SECRET, OLDER):
        assert Webhook(secret).verify(b"{}", headers(signature, timestamp_s=now_s)) == {}


def test_verify_gives_the_id_of_what_it_signed() -> None:
    """A receiver stores by this id."""
    signature = sign([SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    assert verify([OLDER, SECRET], headers=headers(signature), body=b"{}", now_s=NOW) == (
        "evt_s0_1-0"
    )


@pytest.mark.parametrize("offset_s", [-301, 301, 86_400])
def test_a_signature_of_another_time_is_stale(offset_s: int) -> None:
    """A recorded delivery cannot be played again, nor one be made ahead of time."""
    signature = sign([SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    with pytest.raises(StaleTimestamp):
        verify([SECRET], headers=headers(signature), body=b"{}", now_s=NOW + offset_s)


@pytest.mark.parametrize("offset_s", [-300, 0, 300])
def test_clocks_may_differ_by_five_minutes(offset_s: int) -> None:
    """The tolerance of the specification's libraries, both ways."""
    signature = sign([SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    assert verify([SECRET], headers=headers(signature), body=b"{}", now_s=NOW + offset_s)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_s0_2-0"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v1,AAAA " * 1000},
    ],
    ids=str,
)
def test_whatever_is_changed_does_not_match(change: dict[str, str]) -> None:
    """Id and time are signed with the body, and rubbish is refused rather than crashed on."""
    signature = sign([SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    with pytest.raises(SignatureMismatch):
        verify([SECRET], headers=headers(signature) | change, body=b"{}", now_s=NOW)


def test_a_changed_body_does_not_match() -> None:
    """The body cannot be touched on the way."""
    signature = sign([SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    with pytest.raises(SignatureMismatch):
        verify([SECRET], headers=headers(signature), body=b"{ }", now_s=NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!!",
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_a_malformed_secret_is_refused_and_not_repeated(secret: str) -> None:
    """24 to 64 bytes, by the specification; the error must not put the secret into a log."""
    with pytest.raises(InvalidRequest) as refused:
        key_of(secret)

    assert secret.removeprefix("whsec_") == "" or secret not in refused.value.detail


PRIVATE = new_private_key(b"0123456789abcdef0123456789abcdef")
PUBLIC = public_key_of(PRIVATE) or ""


def test_ed25519_is_checked_with_the_public_key_alone() -> None:
    """Another implementation accepts it: a receiver needs nothing that could forge."""
    signature = sign([PRIVATE], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    version, _, digest = signature.partition(",")
    public = base64.b64decode(PUBLIC.removeprefix("whpk_"))
    signed = f"evt_s0_1-0.{NOW}.".encode() + b"{}"
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(digest), signed)
    assert version == "v1a"
    assert verify([PUBLIC], headers=headers(signature), body=b"{}", now_s=NOW) == "evt_s0_1-0"


def test_ed25519_matches_no_other_key_and_no_other_body() -> None:
    """One bit elsewhere, or somebody else's key, and it is none of ours."""
    signature = sign([PRIVATE], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")
    other = public_key_of(new_private_key(bytes(32))) or ""

    for keys, body in (([other], b"{}"), ([PUBLIC], b"{ }"), ([SECRET], b"{}")):
        with pytest.raises(SignatureMismatch):
            verify(keys, headers=headers(signature), body=body, now_s=NOW)


def test_a_receiver_may_change_from_hmac_to_ed25519() -> None:
    """Both sign while they overlap, so it does not matter which one it knows."""
    signature = sign([PRIVATE, SECRET], message_id="evt_s0_1-0", timestamp_s=NOW, body=b"{}")

    for keys in ([PUBLIC], [SECRET]):
        assert verify(keys, headers=headers(signature), body=b"{}", now_s=NOW) == "evt_s0_1-0"


@pytest.mark.parametrize(
    "secret", ["whsk_", "whsk_!!", "whsk_" + base64.b64encode(bytes(31)).decode()]
)
def test_a_malformed_private_key_is_refused_and_not_repeated(secret: str) -> None:
    """As with shared secrets: the error must not put it into a log."""
    with pytest.raises(InvalidRequest) as refused:
        check_secret(secret)

    assert secret.removeprefix("whsk_") == "" or secret not in refused.value.detail
