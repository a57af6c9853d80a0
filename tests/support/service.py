"""The whole application in this process, on a real store, under a driven clock."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import orjson
import pytest
import redis

from dni_allocator.app import App, Options
from dni_allocator.services.access import Scope, digest
from dni_allocator.services.ids import new_secret_key
from dni_allocator.settings import Settings
from dni_allocator.store import keys
from dni_allocator.vendors.rest import Patience
from tests.support import invariants
from tests.support.clock import ManualClock

ADMIN_KEY = "sk_test_0123456789abcdef"
ORIGIN = "https://shop.example"
SHOP = "+16023133897"
POOL = {"name": "Shop", "destinations": [SHOP], "allowed_origins": [ORIGIN]}

Json = dict[str, object]


@dataclass(slots=True)
class Service:
    """The service as a tag, a backend and an operator see it."""

    app: App
    http: httpx.AsyncClient
    redis_url: str
    clock: ManualClock = field(default_factory=ManualClock)

    def contents(self) -> dict[str, invariants.Value]:
        """The whole keyspace, to compare before and after."""
        with redis.Redis.from_url(self.redis_url) as client:
            return invariants.contents(client)

    async def admin(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """Call as an operator."""
        return await self.http.request(
            method,
            path,
            content=None if body is None else orjson.dumps(body),
            headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json",
                     **headers},
        )  # fmt: skip

    async def pool(self, *numbers: str, **settings: object) -> "Site":
        """A pool with these numbers."""
        made = await self.admin("POST", "/pools", {**POOL, **settings})
        assert made.status_code == 201, made.text
        pool = made.json()
        if numbers:
            attached = await self.admin(
                "POST", f"/pools/{pool['id']}/numbers",
                {"numbers": list(numbers), "all_or_nothing": True},
            )  # fmt: skip
            assert attached.status_code == 200, attached.text
        return Site(self, pool_id=str(pool["id"]), key=str(pool["key"]))

    def secret(self, *scopes: Scope) -> str:
        """A secret key that opens these, and no more."""
        secret = new_secret_key()
        record = {"key_id": "of_a_test", "scopes": scopes}
        with redis.Redis.from_url(self.redis_url) as client:
            client.hset(keys.ADMIN_KEYS, digest(secret), orjson.dumps(record).decode())
        return secret

    async def tag(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        origin: str | None = ORIGIN,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call as the tag does: a string body, no preflight. `headers`: what the browser adds."""
        headers = {"Content-Type": "text/plain;charset=UTF-8", **(headers or {})}
        if origin is not None:
            headers["Origin"] = origin
        return await self.http.post(path, content=orjson.dumps(body), headers=headers)

    async def attribution(self, number: str, **query: str) -> Json:
        """Ask whose number it was."""
        answer = await self.http.get(
            f"/attribution/{number}",
            params=query,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows in the place of a destination."""

    number: str
    status: str
    reason: str
    lease_id: str | None


def shown(answer: httpx.Response) -> list[Shown]:
    """What an answer to `/assign` says is shown, whatever its status."""
    return [
        Shown(each["number"], each["status"], each["reason"], each["lease_id"])
        for each in answer.json()["numbers"]
    ]


@dataclass(frozen=True, slots=True)
class Site:
    """A customer's site: pages under one publishable key."""

    service: Service
    pool_id: str
    key: str

    async def ask(
        self,
        visitor: str,
        page: str = "page",
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> httpx.Response:
        """A page view, as the browser sees the answer. `headers`: what the browser adds."""
        body = {"key": self.key, "visitor_id": visitor, "page_id": page, **more}
        return await self.service.tag("/assign", body, headers=headers)

    async def view(self, visitor: str, page: str = "page", **more: object) -> list[Shown]:
        """A page view: what is shown for each destination."""
        answer = await self.service.tag(
            "/assign", {"key": self.key, "visitor_id": visitor, "page_id": page, **more}
        )
        assert answer.status_code == 200, answer.text
        return shown(answer)

    async def number(self, visitor: str, page: str = "page", **more: object) -> str:
        """What the one destination is replaced by."""
        (shown,) = await self.view(visitor, page, **more)
        return shown.number

    async def heartbeat(self, visitor: str, page: str = "page") -> Json:
        """A sign of life of one page."""
        answer = await self.service.tag(
            "/heartbeat", {"key": self.key, "visitor_id": visitor, "page_id": page}
        )
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def close(self, visitor: str, page: str = "page") -> None:
        """The farewell beacon of one page."""
        answer = await self.service.tag(
            "/close", {"key": self.key, "visitor_id": visitor, "page_id": page}
        )
        assert answer.status_code == 204, answer.text


@asynccontextmanager
async def serving(
    redis_url: str, *, clock: ManualClock | None = None, admin_key: str | None = ADMIN_KEY,
    announced: list[str] | None = None, redis_timeout_s: float = 2.0, webhook_allow: str = "",
    more: Mapping[str, object] | None = None, patience: Patience | None = None,
) -> AsyncIterator[Service]:  # fmt: skip
    """The application with its lifespan, without housekeeping in the background."""
    clock = clock or ManualClock()
    settings = Settings.model_validate(
        {"redis_url": redis_url, "shards": 4, "admin_key": admin_key,
         "redis_timeout_s": redis_timeout_s, "webhook_allow": webhook_allow, **(more or {})}
    )  # fmt: skip
    announce = (announced if announced is not None else []).append
    app = App(
        settings,
        Options(
            forwarder=False, sweeper=False, buyer=False, clock=clock, announce=announce,
            patience=patience,
        ),
    )  # fmt: skip
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.running(),
        httpx.AsyncClient(transport=transport, base_url="http://dni.example") as client,
    ):
        yield Service(app, client, redis_url, clock)


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[Service]:
    """The service on an empty store; the invariants are checked when the test is over."""
    async with serving(redis_url) as running:
        yield running
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)
