"""Was it Telnyx, and just now? The signature of its webhooks.

Telnyx signs `timestamp|body` with ed25519; the public key is in the account's portal. The URL is
not signed, so what is decided by a query must be harmless in anybody's hands.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dni_allocator.domain.errors import ConfigurationError

SIGNATURE: Final = "telnyx-signature-ed25519"
TIMESTAMP: Final = "telnyx-timestamp"

TOLERANCE_S: Final = 300
"""How far a timestamp may lie from our clock, either way."""

_MOST_DIGITS: Final = 12


def public_key(text: str) -> Ed25519PublicKey:
    """The key as the portal shows it, base64 of 32 bytes. Raises `ConfigurationError`."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        message = "DNI_TELNYX_PUBLIC_KEY is no ed25519 key: 32 bytes in base64."
        raise ConfigurationError(message) from error


def genuine(
    body: bytes, *, headers: Mapping[str, str], key: Ed25519PublicKey, now_s: float
) -> bool:
    """Whether Telnyx sent this within `TOLERANCE_S`; headers by lower-case name."""
    told = headers.get(TIMESTAMP, "")
    if not (told.isascii() and told.isdigit() and len(told) <= _MOST_DIGITS):
        return False
    if abs(now_s - int(told)) > TOLERANCE_S:
        return False
    try:
        claimed = base64.b64decode(headers.get(SIGNATURE, ""), validate=True)
        key.verify(claimed, told.encode() + b"|" + body)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
