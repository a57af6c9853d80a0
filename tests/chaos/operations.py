"""Every operation of the HTTP surface that writes, on a stage where it can be done over and over.

For tests that do something to the store meanwhile, and compare.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import redis

from dni_allocator.api.examples import BODIES
from dni_allocator.store.embedded import EmbeddedServer
from tests.chaos.proxy import Proxy, proxied, to_socket
from tests.support import invariants
from tests.support.service import ORIGIN, Service, serving

NUMBER: Final = "+16025550101"
OTHER: Final = "+16025550102"
_IDS: Final = re.compile(
    r"\+1\d{10}|(?<=pool_)\w+|(?<=call_)\w+|(?<=whe_)\w+|(?<=pk_)\w+|\b[0-9a-f]{32,64}\b|(?<=\{s)\d+"
)
"""What differs from run to run in the name of a key."""

Shape = Mapping[str, int]
Given = Mapping[str, str]
Operation = Callable[[Service, Given], Awaitable[httpx.Response]]


@dataclass(slots=True)
class Stage:
    """A service whose way to the store loses replies, and the store as it is in truth."""

    service: Service
    proxy: Proxy
    store: redis.Redis
    url: str
    """Of the store, around the proxy."""
    started: Mapping[bytes, bytes]
    """What the start of the service wrote."""

    def empty(self) -> None:
        """As after the start."""
        self.store.flushdb()
        for name, dumped in self.started.items():
            self.store.restore(name, 0, dumped)

    def shape(self) -> Shape:
        """What lies in the store: kinds of keys, and how much is in each of a kind."""
        found: Counter[str] = Counter()
        for name, value in invariants.contents(self.store).items():
            kind = _IDS.sub("…", name)
            # A stream is told as its length.
            found[kind] += (
                len(value) if not isinstance(value, str) else int(value if value.isdecimal() else 1)
            )
        return found

    async def given(self) -> Given:
        """A pool with two numbers, a visitor with one of them, a call, an endpoint, a key."""
        body = {**BODIES["post", "/pools"], "overflow_numbers": []}
        pool = (await self.service.admin("POST", "/pools", body)).json()
        numbers = {"numbers": [NUMBER, OTHER]}
        await self.service.admin("POST", f"/pools/{pool['id']}/numbers", numbers)
        visit = {**BODIES["post", "/assign"], "key": pool["key"], "page_id": "first"}
        shown = (await self.service.tag("/assign", visit)).json()["numbers"][0]
        call = (await self.service.admin("POST", "/calls", {"number": shown["number"]})).json()
        endpoint = (
            await self.service.admin("POST", "/webhooks", BODIES["post", "/webhooks"])
        ).json()
        key = (await self.service.admin("POST", "/keys", BODIES["post", "/keys"])).json()
        source = BODIES["post", "/traffic-sources"]
        source = (await self.service.admin("POST", "/traffic-sources", source)).json()
        site = {"name": "Shop", "pools": [pool["id"]]}
        site = (await self.service.admin("POST", "/sites", site)).json()
        return {
            "pool_id": pool["id"], "key": pool["key"], "number": shown["number"],
            "call_id": call["id"], "endpoint_id": endpoint["id"], "key_id": key["id"],
            "source_id": source["id"], "site_id": site["id"], "visitor_id": visit["visitor_id"],
        }  # fmt: skip


@asynccontextmanager
async def staged(server: EmbeddedServer) -> AsyncIterator[Stage]:
    """A service behind a proxy, without work in the background, on an emptied store."""
    with redis.Redis.from_url(server.url) as store:
        store.flushall()
        async with proxied(to_socket(str(server.socket_path))) as proxy:
            # Else the first caller makes one, for all that follow.
            more = {"caller_key": "a key of sixteen characters"}
            async with serving(proxy.url, more=more) as service:
                assert (await service.http.get("/readyz")).is_success
                started = {name: store.dump(name) for name in store.scan_iter("*")}
                yield Stage(service, proxy, store, server.url, started)


def _example(method: str, path: str) -> Operation:
    async def ask(service: Service, given: Given) -> httpx.Response:
        body = _filled(BODIES[method, path], given)
        if path in {"/assign", "/heartbeat", "/close"}:
            body["page_id"] = "first" if path == "/close" else body["page_id"]
            return await service.tag(path, body, origin=ORIGIN)
        return await service.admin(method.upper(), path.format(**given), body)

    return ask


def _plain(method: str, path: str, body: object = None) -> Operation:
    async def ask(service: Service, given: Given) -> httpx.Response:
        return await service.admin(method, path.format(**given), body)

    return ask


async def _assign_anew(service: Service, given: Given) -> httpx.Response:
    body = {**BODIES["post", "/assign"], "key": given["key"], "visitor_id": "somebody-else"}
    return await service.tag("/assign", body)


def _filled(body: Any, given: Given) -> Any:  # noqa: ANN401 - JSON
    """The example with the key and the pool there are."""
    if isinstance(body, list):
        return [_filled(each, given) for each in body]
    filled = {"key": given["key"], "pool": given["pool_id"], "pools": [given["pool_id"]]}
    return {name: filled.get(name, value) for name, value in body.items()}


def differences(expected: Shape, found: Shape) -> dict[str, tuple[int, int]]:
    """What is more or less than expected."""
    return {
        name: (expected.get(name, 0), found.get(name, 0))
        for name in expected.keys() | found.keys()
        if expected.get(name, 0) != found.get(name, 0)
    }


OPERATIONS: Final[Mapping[str, Operation]] = {
    **{f"{method} {path}": _example(method, path) for method, path in BODIES},
    "a new visitor": _assign_anew,
    **{
        f"{method} {path}": _plain(method, path, body)
        for method, path, body in (
            ("DELETE", "/pools/{pool_id}/numbers/{number}", None),
            ("DELETE", "/pools/{pool_id}/numbers/{number}?force=true", None),
            ("DELETE", "/pools/{pool_id}?force=true", None),
            ("POST", "/pools/{pool_id}/rotate-key", {}),
            ("PATCH", "/webhooks/{endpoint_id}", {"state": "disabled"}),
            ("POST", "/webhooks/{endpoint_id}/rotate", {}),
            ("POST", "/webhooks/{endpoint_id}/replay", {"since": "2020-01-01T00:00:00Z"}),
            ("DELETE", "/webhooks/{endpoint_id}", None),
            ("POST", "/keys/{key_id}/rotate", {}),
            ("DELETE", "/keys/{key_id}", None),
            ("DELETE", "/traffic-sources/{source_id}", None),
            ("DELETE", "/sites/{site_id}", None),
            ("DELETE", "/visitors/{visitor_id}", None),
        )
    },
}
