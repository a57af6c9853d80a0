"""Was it Twilio? The signature of its webhooks.

Twilio signs the URL it requested and the fields it posted with the account's auth token
(HMAC-SHA1), or, where a Webhook Rule of the account says so, with a shared key (HMAC-SHA256). A few
lines, so they are our own: the `twilio` package is a client of the whole API, and would come along
with an HTTP stack of its own. It is the oracle of the tests.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

SIGNATURE: Final = "x-twilio-signature"
SETTINGS: Final = "x-twilio-webhooks-signature-settings"
"""Names key and algorithm where a shared key signs: `key=…,algorithm=HMAC_SHA256`."""

_HASHES: Final = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

Fields = Sequence[tuple[str, str]]
"""The fields of a form in any order; a name may come several times."""


@dataclass(frozen=True, slots=True, repr=False)
class TwilioSecrets:
    """What Twilio signs with. `shared_key` only where the account has a Webhook Rule."""

    auth_token: str
    shared_key: str | None = None


def genuine(
    url: str,
    *,
    headers: Mapping[str, str],
    fields: Fields,
    body: bytes | None,
    secrets: TwilioSecrets,
) -> bool:
    """Whether Twilio made this request; headers by lower-case name.

    `url`: as Twilio requested it, with its query; a standard port may be there or not, since Twilio
    itself is of two minds. `body`: of a request that is no form; its hash is in the URL then.
    """
    settings = headers.get(SETTINGS)
    algorithm, secret = "HMAC_SHA1", secrets.auth_token
    if settings is not None:
        if secrets.shared_key is None:
            return False
        algorithm, secret = _algorithm(settings), secrets.shared_key
    if algorithm not in _HASHES:
        return False
    if body is not None and not _has_hash_of(body, url):
        return False
    claimed = headers.get(SIGNATURE, "").encode()
    matches = [
        hmac.compare_digest(signature(each, fields, secret=secret, algorithm=algorithm), claimed)
        for each in _spellings(url)
    ]
    return any(matches)


def signature(url: str, fields: Fields, *, secret: str, algorithm: str = "HMAC_SHA1") -> bytes:
    """The signature of a request: the URL, then name and value of each field, by name.

    Of a field that comes several times each different value counts once, in order.
    """
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    digest = hmac.new(secret.encode(), text.encode(), _HASHES[algorithm]).digest()
    return base64.b64encode(digest)


def _algorithm(settings: str) -> str:
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _has_hash_of(body: bytes, url: str) -> bool:
    """Whether the URL, which is signed, names the body: otherwise nothing vouches for it."""
    told = parse_qs(urlsplit(url).query).get("bodySHA256", [""])[0]
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), told.encode())


def _spellings(url: str) -> Iterator[str]:
    """The URL with a port and without one."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        host, port = place, str(_DEFAULT_PORTS.get(parts.scheme, ""))
    for netloc in (host, f"{host}:{port}"):
        yield urlunsplit(parts._replace(netloc=user + at + netloc))
