"""Signatures of Standard Webhooks: symmetric, HMAC-SHA256, version `v1`.

Signs `<id>.<timestamp>.<body>` and checks the same, so a receiver may import this module alone.
Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec. The library
`standardwebhooks` is the oracle of the tests; it is not used here because it signs a date of
another time zone as if it were UTC.
"""

import base64
import binascii
import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from dni_allocator.domain.errors import DniError, InvalidRequest

TOLERANCE_S: Final = 300
"""How far a receiver lets the time of an attempt be from its own, either way."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- tells a secret from other texts, is none
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


@functools.lru_cache(maxsize=256)
def key_of(secret: str) -> bytes:
    """The key in a `whsec_` secret.

    Raises:
        InvalidRequest: Wrong prefix, no base64, or not 24 to 64 bytes. The text does not echo it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not (
        _SHORTEST_SECRET <= len(key) <= _LONGEST_SECRET
    ):
        raise InvalidRequest("A webhook secret is whsec_ and the base64 of 24 to 64 bytes.")
    return key


def sign(secrets: Sequence[str], *, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret, separated by spaces.

    More than one secret lets receivers change over: they accept what any of theirs has signed.
    """
    content = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{_digest(secret, content)}" for secret in secrets)


def verify(secrets: Sequence[str], *, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Check a delivery and return its id, the same for all attempts.

    `headers` has lower-case names. Signatures of other versions are passed over. The signature is
    looked at before the time, and in constant time.

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
    expected = [_digest(secret, content).encode() for secret in secrets]
    matches = False
    for signature in given.split(" "):
        version, _, digest = signature.partition(",")
        if version == "v1":
            for candidate in expected:
                matches |= hmac.compare_digest(digest.encode(), candidate)
    if not matches:
        raise SignatureMismatch("No known secret has signed this.")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise StaleTimestamp("webhook-timestamp is more than 5 minutes from now.")
    return message_id


def _digest(secret: str, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()
