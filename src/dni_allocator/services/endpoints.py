"""Webhook endpoints as an operator handles them."""

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from dni_allocator.domain.errors import EndpointUnknown, InvalidRequest
from dni_allocator.domain.webhook import Body, Endpoint, OldSecret, Start
from dni_allocator.services.ids import new_endpoint_id
from dni_allocator.store.endpoints import Endpoints as EndpointStore
from dni_allocator.webhooks.message import OWN_HEADERS
from dni_allocator.webhooks.signing import (
    PRIVATE_PREFIX,
    check_secret,
    new_private_key,
    new_secret,
)

Signature = Literal["hmac-sha256", "ed25519"]

_SECRET_BYTES: Final = 32
"""256 bits: inside the 24 to 64 bytes of the Standard Webhooks specification."""

_MOST_OLD_SECRETS: Final = 4
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]{0,998}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an operator may set of an endpoint; None: as it is."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    pools: Sequence[str] | None = None
    headers: Mapping[str, str] | None = None
    rate_limit: int | None = None
    body: Body | None = None
    batch_size: int | None = None
    description: str | None = None


class Endpoints:
    """Where events go. Raises `StoreUnavailable` throughout."""

    def __init__(self, store: EndpointStore) -> None:
        self._store = store

    async def create(
        self,
        wanted: Wanted,
        *,
        secret: str | None = None,
        signature: Signature = "hmac-sha256",
        start: Start = "now",
    ) -> Endpoint:
        """Make an endpoint; without a secret one of the `signature` is made.

        Raises:
            InvalidRequest: The URL, a header or the secret is malformed.
        """
        if wanted.url is None:
            raise InvalidRequest.at("url", "An endpoint needs a URL.")
        endpoint = Endpoint(
            id=new_endpoint_id(),
            url=wanted.url,
            secret=_checked_secret(secret) or _new_secret(signature),
            created_ms=_now_ms(),
            start=start,
        )
        endpoint = edited(endpoint, wanted)
        await self._store.create(endpoint)
        return endpoint

    async def all(self) -> list[Endpoint]:
        """All webhook endpoints, oldest first; the targets of conversions are not among them."""
        return [each for each in await self._store.all() if each.target is None]

    async def read(self, endpoint_id: str) -> Endpoint:
        """One webhook endpoint. Raises `EndpointUnknown`."""
        found = await self._store.get(endpoint_id)
        if found.target is not None:
            message = "This is a conversion: see the traffic source it belongs to."
            raise EndpointUnknown(message)
        return found

    async def edit(
        self, endpoint_id: str, wanted: Wanted, *, active: bool | None = None
    ) -> Endpoint:
        """Change what is given. It keeps its position, also while it is disabled.

        Raises:
            EndpointUnknown: There is none by this id.
            EditConflict: Somebody else edited it at the same time.
            InvalidRequest: The URL or a header is malformed.
        """
        seen = await self.read(endpoint_id)
        changed = switched(edited(seen, wanted), active=active)
        await self._store.replace(seen, changed)
        return changed

    async def rotate(
        self,
        endpoint_id: str,
        *,
        overlap_s: int,
        secret: str | None = None,
        signature: Signature | None = None,
    ) -> Endpoint:
        """Give it a new secret; the one before signs too for `overlap_s` seconds.

        Without `signature` the kind of secret stays. At most four earlier ones still sign.

        Raises:
            EndpointUnknown: There is none by this id.
            EditConflict: Somebody else edited it at the same time.
            InvalidRequest: The secret is malformed.
        """
        seen = await self.read(endpoint_id)
        now_ms = _now_ms()
        kind = signature or signature_of(seen)
        old = OldSecret(seen.secret, now_ms + overlap_s * 1000)
        still = [one for one in (old, *seen.old_secrets) if one.until_ms > now_ms]
        changed = replace(
            seen,
            secret=_checked_secret(secret) or _new_secret(kind),
            old_secrets=tuple(still[:_MOST_OLD_SECRETS]),
        )
        await self._store.replace(seen, changed)
        return changed

    async def delete(self, endpoint_id: str) -> None:
        """Forget an endpoint and all that waits for it. Raises `EndpointUnknown`."""
        await self.read(endpoint_id)
        await self._store.delete(endpoint_id)


def signature_of(endpoint: Endpoint) -> Signature:
    """How its deliveries are signed."""
    return "ed25519" if endpoint.secret.startswith(PRIVATE_PREFIX) else "hmac-sha256"


def switched(endpoint: Endpoint, *, active: bool | None) -> Endpoint:
    """An endpoint switched on or off by an operator; None: as it is."""
    if active is True:
        return replace(endpoint, state="active", disabled_reason="")
    if active is False and endpoint.state == "active":
        return replace(endpoint, state="disabled", disabled_reason="operator")
    return endpoint


def edited(endpoint: Endpoint, wanted: Wanted) -> Endpoint:
    """An endpoint with what is wanted of it. Raises `InvalidRequest`."""
    if wanted.url is not None and not _is_fine(wanted.url):
        raise InvalidRequest.at(
            "url", "An absolute http or https URL without credentials or fragment."
        )
    changes: dict[str, object] = {
        name: getattr(wanted, name)
        for name in ("url", "rate_limit", "body", "batch_size", "description")
        if getattr(wanted, name) is not None
    }
    if wanted.event_types is not None:
        changes["event_types"] = tuple(wanted.event_types)
    if wanted.pools is not None:
        changes["pools"] = tuple(wanted.pools)
    if wanted.headers is not None:
        for name, value in wanted.headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
                raise InvalidRequest.at(
                    "headers", "A header's name is a token, and none of our own."
                )
            if not _HEADER_VALUE.fullmatch(value):
                raise InvalidRequest.at("headers", "A header's value is printable ASCII.")
        changes["headers"] = tuple((name.lower(), value) for name, value in wanted.headers.items())
    # mypy cannot match names of a ** mapping with fields; a wrong one raises at once.
    return replace(endpoint, **changes)  # type: ignore[arg-type]


def _checked_secret(secret: str | None) -> str | None:
    if secret is not None:
        check_secret(secret)
    return secret


def _new_secret(signature: Signature) -> str:
    random_bytes = secrets.token_bytes(_SECRET_BYTES)
    return new_private_key(random_bytes) if signature == "ed25519" else new_secret(random_bytes)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _is_fine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and not parts.username
            and not parts.fragment
        )
    except ValueError:
        return False
