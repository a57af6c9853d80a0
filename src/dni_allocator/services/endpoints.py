"""Webhook endpoints as an operator handles them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.webhook import Endpoint, Start
from dni_allocator.services.ids import new_endpoint_id
from dni_allocator.store.endpoints import Endpoints as EndpointStore
from dni_allocator.webhooks.signing import key_of, new_secret

_SECRET_BYTES = 32
"""256 bits: inside the 24 to 64 bytes of the Standard Webhooks specification."""


class Endpoints:
    """Where events go. Raises `StoreUnavailable` throughout."""

    def __init__(self, store: EndpointStore) -> None:
        self._store = store

    async def create(
        self,
        url: str,
        *,
        secret: str | None = None,
        event_types: Sequence[str] = (),
        description: str = "",
        start: Start = "now",
    ) -> Endpoint:
        """Make an endpoint; without a secret one is made. Raises `InvalidRequest`."""
        _check_url(url)
        if secret is not None:
            key_of(secret)
        endpoint = Endpoint(
            id=new_endpoint_id(),
            url=url,
            secret=secret or new_secret(secrets.token_bytes(_SECRET_BYTES)),
            created_ms=int(time.time() * 1000),
            event_types=tuple(event_types),
            description=description,
            start=start,
        )
        await self._store.create(endpoint)
        return endpoint

    async def all(self) -> list[Endpoint]:
        """All endpoints, oldest first."""
        return await self._store.all()

    async def read(self, endpoint_id: str) -> Endpoint:
        """One endpoint. Raises `EndpointUnknown`."""
        return await self._store.get(endpoint_id)

    async def switch(self, endpoint_id: str, *, active: bool) -> Endpoint:
        """Disable or enable an endpoint; it keeps its position. Raises `EndpointUnknown`."""
        seen = await self._store.get(endpoint_id)
        wanted = replace(
            seen,
            state="active" if active else "disabled",
            disabled_reason="" if active else "by an operator",
        )
        await self._store.replace(seen, wanted)
        return wanted

    async def delete(self, endpoint_id: str) -> None:
        """Forget an endpoint and all that waits for it. Raises `EndpointUnknown`."""
        await self._store.get(endpoint_id)
        await self._store.delete(endpoint_id)


def _check_url(url: str) -> None:
    if not _is_fine(url):
        detail = "An absolute http or https URL without credentials or fragment."
        message = f"url: {detail}"
        raise InvalidRequest(message, extra={"errors": [{"field": "url", "detail": detail}]})


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
