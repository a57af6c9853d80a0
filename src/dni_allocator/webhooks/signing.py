"""Signatures of Standard Webhooks: HMAC-SHA256 (`v1`) and ed25519 (`v1a`).

A secret tells by its prefix which it is: `whsec_` is shared with the receiver; of `whsk_` the
receiver has only the public half, `whpk_`, so that it can check and not forge. Signs
`<id>.<timestamp>.<body>` and checks the same, so a receiver may import this module alone.
Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec. The library
`standardwebhooks` is the oracle of the tests; it is not used here because it signs a date of
another time zone as if it were UTC.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dni_allocator.domain.errors import DniError, InvalidRequest

TOLERANCE_S: Final = 300
"""How far a receiver lets the time of an attempt be from its own, either way."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- tells a secret from other texts, is none
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
_SEED_BYTES: Final = 32
_SHORTEST_SECRET, _LONGEST_SECRET = 24, 64
_LONGEST_HEADER: Final = 4096


class SignatureMismatch(DniError):
    """A delivery that no known secret has signed, or whose signing headers are missing."""

    code = "signature-mismatch"
    title = "The signature does not match"


class StaleTimestamp(DniError):
    """A delivery that was signed too long ago, or in the future: it may be a replayed copy."""

    code = "stale-timestamp"
    title = "The timestamp is too far from now"


def new_secret(random_bytes: bytes) -> str:
    """A secret from 24 to 64 random bytes, as endpoints and receivers write it.

    Raises:
        InvalidRequest: Fewer or more bytes.
    """
    secret = SECRET_PREFIX + base64.b64encode(random_bytes).decode()
    key_of(secret)
    return secret


def new_private_key(random_bytes: bytes) -> str:
    """An ed25519 key from 32 random bytes: `whsk_` and base64 of these and its public half.

    Raises:
        InvalidRequest: Fewer or more bytes.
    """
    if len(random_bytes) != _SEED_BYTES:
        raise InvalidRequest("An ed25519 key is made from 32 bytes.")
    public = Ed25519PrivateKey.from_private_bytes(random_bytes).public_key().public_bytes_raw()
    return PRIVATE_PREFIX + base64.b64encode(random_bytes + public).decode()


@functools.lru_cache(maxsize=256)
def key_of(secret: str) -> bytes:
    """The key in a `whsec_` secret.

    Raises:
        InvalidRequest: Wrong prefix, no base64, or not 24 to 64 bytes. The text does not echo it.
    """
    key = _decoded(secret, SECRET_PREFIX)
    if key is None or not _SHORTEST_SECRET <= len(key) <= _LONGEST_SECRET:
        raise InvalidRequest("A webhook secret is whsec_ and the base64 of 24 to 64 bytes.")
    return key


def check_secret(secret: str) -> None:
    """See that an endpoint can sign with it.

    Raises:
        InvalidRequest: Neither `whsec_` nor `whsk_`, or malformed.
    """
    if secret.startswith(PRIVATE_PREFIX):
        _private(secret)
    else:
        key_of(secret)


def public_key_of(secret: str) -> str | None:
    """The `whpk_` that checks what a `whsk_` signs; None: the secret is a shared one."""
    if not secret.startswith(PRIVATE_PREFIX):
        return None
    public = _private(secret).public_key().public_bytes_raw()
    return PUBLIC_PREFIX + base64.b64encode(public).decode()


def sign(secrets: Sequence[str], *, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret, separated by spaces.

    More than one secret lets receivers change over: they accept what any of theirs has signed.
    """
    content = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(_signature(secret, content) for secret in secrets)


def _signature(secret: str, content: bytes) -> str:
    if secret.startswith(PRIVATE_PREFIX):
        return "v1a," + base64.b64encode(_private(secret).sign(content)).decode()
    return f"v1,{_digest(secret, content)}"


def verify(secrets: Sequence[str], *, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Check a delivery and return its id, the same for all attempts.

    `secrets` are `whsec_…` and `whpk_…`. `headers` has lower-case names. Signatures of other
    versions are passed over. The signature is looked at before the time, and in constant time.

    Raises:
        SignatureMismatch: A header is missing or unreadable, or no secret has signed it.
        StaleTimestamp: Its time is more than 5 minutes from `now_s`, seconds since 1970.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not message_id or not given or len(given) > _LONGEST_HEADER:
        raise SignatureMismatch("webhook-id or webhook-signature is missing.")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004
        raise SignatureMismatch("webhook-timestamp is no number of seconds.")
    content = f"{message_id}.{timestamp}.".encode() + body
    shared = [secret for secret in secrets if not secret.startswith(PUBLIC_PREFIX)]
    public = [secret for secret in secrets if secret.startswith(PUBLIC_PREFIX)]
    expected = [_digest(secret, content).encode() for secret in shared]
    matches = False
    for signature in given.split(" "):
        version, _, digest = signature.partition(",")
        if version == "v1":
            for candidate in expected:
                matches |= hmac.compare_digest(digest.encode(), candidate)
        elif version == "v1a":
            matches |= any(_has_signed(key, digest, content) for key in public)
    if not matches:
        raise SignatureMismatch("No known secret has signed this.")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise StaleTimestamp("webhook-timestamp is more than 5 minutes from now.")
    return message_id


def _digest(secret: str, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()


def check_verifier(secret: str) -> None:
    """See that a receiver can check with it.

    Raises:
        InvalidRequest: Neither `whsec_` nor `whpk_`, or malformed.
    """
    if secret.startswith(PUBLIC_PREFIX):
        if len(_decoded(secret, PUBLIC_PREFIX) or b"") != _SEED_BYTES:
            raise InvalidRequest("A public key is whpk_ and the base64 of 32 bytes.")
    else:
        key_of(secret)


def _has_signed(public: str, digest: str, content: bytes) -> bool:
    key = _decoded(public, PUBLIC_PREFIX)
    try:
        signature = base64.b64decode(digest, validate=True)
        Ed25519PublicKey.from_public_bytes(key or b"").verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=256)
def _private(secret: str) -> Ed25519PrivateKey:
    key = _decoded(secret, PRIVATE_PREFIX)
    # Written with its public half by us, and without by some other tools.
    if key is None or len(key) not in {_SEED_BYTES, 2 * _SEED_BYTES}:
        raise InvalidRequest("A private key is whsk_ and the base64 of 32 or 64 bytes.")
    return Ed25519PrivateKey.from_private_bytes(key[:_SEED_BYTES])


def _decoded(secret: str, prefix: str) -> bytes | None:
    try:
        key = base64.b64decode(secret.removeprefix(prefix), validate=True)
    except ValueError:
        return None
    return key if secret.startswith(prefix) else None
