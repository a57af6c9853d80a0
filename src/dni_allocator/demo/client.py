"""The demonstration's way to the service and to the sink: their public HTTP, nothing else.

Owns which calls are made and which parts of the answers are read. Knows neither pages nor
processes.
"""

from datetime import datetime
from typing import Final, Literal, TypeVar

import httpx
from pydantic import BaseModel

TIMEOUT_S: Final = 5.0
_MOST_NUMBERS: Final = 100

Seen = TypeVar("Seen", bound=BaseModel)


class PoolSeen(BaseModel):
    """What the demonstration reads of a pool."""

    id: str
    key: str
    name: str


class NumberSeen(BaseModel):
    """One number of the pool as it is now."""

    number: str
    national: str
    state: Literal["free", "leased", "draining", "quarantined", "held"]
    locked_until: datetime | None


class EndpointSeen(BaseModel):
    """Where the service sends its events."""

    id: str
    url: str
    secret: str
    description: str
    state: Literal["active", "disabled"]


class EventSeen(BaseModel):
    """One event as the sink keeps it: its signature was verified, else it would not be there."""

    id: str
    type: str
    occurred_at: datetime | None
    received_at: datetime
    number: str | None
    visitor_id: str | None
    reason: str | None
    fields: dict[str, object]
    deliveries: int


class _Pools(BaseModel):
    pools: list[PoolSeen]
    next_cursor: str | None


class _Numbers(BaseModel):
    numbers: list[NumberSeen]
    next_cursor: str | None


class _Endpoints(BaseModel):
    webhooks: list[EndpointSeen]


class _Events(BaseModel):
    events: list[EventSeen]


class Client:
    """A customer's backend that holds a secret key of the service. Close it when done.

    Every method raises `httpx.HTTPError` when there is no answer, or another than expected.
    """

    def __init__(self, *, service_url: str, secret_key: str, sink_url: str) -> None:
        # No proxy of the environment between programs of one machine.
        self._service = httpx.AsyncClient(
            base_url=service_url,
            headers={"Authorization": f"Bearer {secret_key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self._sink = httpx.AsyncClient(base_url=sink_url, timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._service.aclose()
        await self._sink.aclose()

    async def record_call(self, number: str) -> httpx.Response:
        """A call to a number: the record, exactly as the service answers, a refusal included.

        Nobody is said to call: whoever plays with the page is not one caller who calls again.
        """
        return await self._service.post("/calls", json={"number": number})

    async def pool_named(self, name: str) -> PoolSeen | None:
        """The pool of this name, None when there is none."""
        cursor: str | None = None
        while True:
            page = _read(_Pools, await self._service.get("/pools", params=_page(cursor)))
            for pool in page.pools:
                if pool.name == name:
                    return pool
            if page.next_cursor is None:
                return None
            cursor = page.next_cursor

    async def create_pool(self, settings: dict[str, object]) -> PoolSeen:
        """Make a pool."""
        return _read(PoolSeen, await self._service.post("/pools", json=settings))

    async def edit_pool(self, pool_id: str, settings: dict[str, object]) -> PoolSeen:
        """Edit a pool."""
        return _read(PoolSeen, await self._service.patch(f"/pools/{pool_id}", json=settings))

    async def attach(self, pool_id: str, numbers: tuple[str, ...]) -> None:
        """See that the pool has these numbers. Idempotent."""
        body = {"numbers": numbers, "all_or_nothing": True}
        answer = await self._service.post(f"/pools/{pool_id}/numbers", json=body)
        answer.raise_for_status()

    async def numbers(self, pool_id: str) -> list[NumberSeen]:
        """The first hundred numbers of the pool, in order."""
        path, limit = f"/pools/{pool_id}/numbers", {"limit": _MOST_NUMBERS}
        page = _read(_Numbers, await self._service.get(path, params=limit))
        return sorted(page.numbers, key=lambda each: each.number)

    async def endpoints(self) -> list[EndpointSeen]:
        """All webhook endpoints."""
        return _read(_Endpoints, await self._service.get("/webhooks")).webhooks

    async def create_endpoint(self, *, url: str, secret: str, description: str) -> None:
        """Make a webhook endpoint that hears of everything the outbox still keeps."""
        body = {"url": url, "secret": secret, "description": description, "start": "oldest"}
        (await self._service.post("/webhooks", json=body)).raise_for_status()

    async def enable_endpoint(self, endpoint_id: str) -> None:
        """Switch a webhook endpoint on."""
        path, body = f"/webhooks/{endpoint_id}", {"state": "active"}
        (await self._service.patch(path, json=body)).raise_for_status()

    async def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete a webhook endpoint."""
        (await self._service.delete(f"/webhooks/{endpoint_id}")).raise_for_status()

    async def received(self, *, limit: int) -> list[EventSeen]:
        """What the sink has, the newest first."""
        return _read(_Events, await self._sink.get("/events", params={"limit": limit})).events


def _page(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"cursor": cursor}


def _read(model: type[Seen], answer: httpx.Response) -> Seen:
    answer.raise_for_status()
    return model.model_validate_json(answer.content)
