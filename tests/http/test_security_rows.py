"""Rows of docs/security.md that no feature's own tests have: what an attacker tries, one by one."""

import math
from dataclasses import dataclass

import httpx
import orjson
import pytest

from dni_allocator.services import ids
from dni_allocator.services.allocation import Allocation
from dni_allocator.services.pools import Pools
from tests.http.test_key_scopes import DOORS
from tests.support.rig import SERVICE, fictional
from tests.support.service import ADMIN_KEY, ORIGIN, SHOP, Service, serving, shown

PERSONAL = "ann.personal@shop.example"
NUMBERS = fictional(10)


def _from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, "Origin": ORIGIN}


async def test_a_farm_of_visitors_gets_what_its_network_may_hold(service: Service) -> None:
    """Lease farming from one place: new ids are free, addresses are not."""
    site = await service.pool(*NUMBERS, address_leases=3, address_rate=60)

    farmed = [
        shown(await site.ask(f"bot{n}", headers=_from(f"203.0.113.{n}")))[0].status
        for n in range(1, 40)
    ]
    (person,) = shown(await site.ask("ann", headers=_from("198.51.100.7")))

    assert farmed.count("leased") == 3
    assert person.status == "leased"


async def test_a_farm_that_only_loads_pages_loses_its_numbers_soon(service: Service) -> None:
    """Denial of inventory from many networks: without a tag that beats, a lease is a short one."""
    site = await service.pool(*NUMBERS, provisional_s=30, idle_limit_s=3600)
    farmed = [
        shown(await site.ask(f"bot{n}", headers=_from(f"10.{n}.0.1")))[0].status
        for n in range(len(NUMBERS))
    ]
    full = shown(await site.ask("ann", headers=_from("198.51.100.7")))[0].status

    service.clock.advance(seconds=31)
    (later,) = shown(await site.ask("ann", headers=_from("198.51.100.7")))

    assert set(farmed) == {"leased"}
    assert full == "original"
    assert later.status == "leased"


async def test_a_refusal_does_not_say_which_limit_was_met(service: Service) -> None:
    """Who farms leases learns when to come back, not what to change."""
    by_visitor = await service.pool(*NUMBERS[:2], visitor_rate=1, destinations=[SHOP, SERVICE])
    by_network = await service.pool(*NUMBERS[2:], address_rate=1)
    await by_visitor.view("ann", destinations=[SERVICE])
    await by_network.ask("bob", headers=_from("203.0.113.1"))

    answers = [
        await by_visitor.ask("ann", destinations=[SHOP]),
        await by_network.ask("cyd", headers=_from("203.0.113.2")),
    ]

    said = [
        {name: each.json()[name] for name in ("type", "title", "status", "code", "detail")}
        for each in answers
    ]
    assert [each.status_code for each in answers] == [429, 429]
    assert said[0] == said[1]


async def test_a_beacon_reaches_its_own_visitor_only(service: Service) -> None:
    """`text/plain` needs no preflight, so any page may send one: only its pool's key counts."""
    mine, other = await service.pool(NUMBERS[0]), await service.pool(NUMBERS[1])
    await mine.view("ann", "page")
    before = service.contents()

    for visitor, page in (("ann", "page"), ("ann", "another"), ("bob", "page")):
        await other.close(visitor, page)
        assert await other.heartbeat(visitor, page) == {"gone": True}
    await mine.close("bob", "page")
    await mine.close("ann", "another")

    assert service.contents() == before


@pytest.mark.parametrize("name", ["key", "token", "access_token", "api_key", "authorization"])
async def test_a_secret_key_in_an_address_opens_nothing(service: Service, name: str) -> None:
    """Addresses are kept in logs and histories (ASVS 14.2.1): only the header counts."""
    for door in DOORS:
        if door.opens is None or door.method != "GET" or "{" in door.path:
            continue

        answer = await service.http.get(door.path, params={name: ADMIN_KEY})

        assert answer.status_code == 401, door.path
        assert ADMIN_KEY not in answer.text


def test_what_opens_something_cannot_be_guessed() -> None:
    """At least 112 bits for keys that are hashed plainly, 128 for others' capabilities (ASVS)."""
    bits = {
        "secret key": _bits(ids.new_secret_key().removeprefix("sk_"), of=64),
        "token of a file": _bits(ids.new_file_token().removeprefix("cft_"), of=64),
        "publishable key": _bits(ids.new_site_key().removeprefix("pk_"), of=32),
        "visitor": _bits(ids.new_visitor_id(), of=64),
    }

    assert min(bits["secret key"], bits["token of a file"]) >= 256
    assert bits["publishable key"] >= 112
    assert bits["visitor"] >= 128
    assert len({ids.new_secret_key() for _ in range(1000)}) == 1000


def _bits(text: str, *, of: int) -> float:
    return len(text) * math.log2(of)


WRONG: list[tuple[str, str, object]] = [
    ("POST", "/assign", {"key": "pk_x", "visitor_id": f"{PERSONAL} x", "page_id": PERSONAL}),
    ("POST", "/assign", {"key": PERSONAL}),
    ("POST", "/heartbeat", {"key": "pk_x", "visitor_id": [PERSONAL]}),
    ("POST", "/pools", {"name": 1, "country": PERSONAL, "destinations": [PERSONAL]}),
    ("POST", "/calls", {"number": PERSONAL, "caller": PERSONAL, "started_at": PERSONAL}),
    ("POST", "/keys", {"name": [PERSONAL], "scopes": [PERSONAL]}),
    ("POST", "/webhooks", {"url": PERSONAL, "types": [PERSONAL]}),
    ("POST", "/traffic-sources", {"kind": PERSONAL, "name": [PERSONAL]}),
    ("POST", "/attribution/batch", [{"number": PERSONAL, "at": PERSONAL}]),
    ("POST", "/assign/bulk", [{"key": PERSONAL, "visitor_id": PERSONAL + " "}]),
    ("GET", f"/attribution/{PERSONAL}", None),
    ("GET", f"/attribution/{SHOP}?at={PERSONAL}", None),
    ("GET", f"/calls?cursor={PERSONAL}", None),
    ("GET", f"/calls/{PERSONAL}", None),
    ("DELETE", f"/visitors/{PERSONAL}", None),
    ("GET", f"/{PERSONAL}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRONG, ids=lambda each: str(each)[:20])
async def test_no_error_repeats_what_was_sent(
    service: Service, method: str, path: str, body: object
) -> None:
    """FastAPI's own answer to a wrong body holds the body; ours go to logs and to other people."""
    answer = await service.admin(method, path, body)

    assert answer.status_code in {200, 400, 403, 404, 422}, answer.text
    assert PERSONAL not in answer.text


@dataclass(frozen=True, slots=True)
class _Broken:
    """A use case with a mistake in it."""

    said: str

    async def __call__(self, *_: object, **__: object) -> None:
        raise RuntimeError(self.said)


@pytest.mark.parametrize(
    ("room", "call", "path"), [(Allocation, "assign", "/assign"), (Pools, "page", "/pools")]
)
async def test_a_mistake_of_ours_is_told_without_its_words(
    service: Service, monkeypatch: pytest.MonkeyPatch, room: type, call: str, path: str
) -> None:
    """500, a code, and an id to look up in the log; no text, type or place of the error."""
    monkeypatch.setattr(room, call, _Broken(f"{PERSONAL} at /srv/secret.py"))
    body = {"key": "pk_x", "visitor_id": "v", "page_id": "p"}

    answer = await service.admin("POST" if path == "/assign" else "GET", path, body)

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert not {PERSONAL, "secret.py", "RuntimeError", "Traceback"} & set(answer.text.split('"'))
    assert PERSONAL not in answer.text


async def _opened(http: httpx.AsyncClient) -> list[int]:
    return [(await http.get(path)).status_code for path in ("/docs", "/openapi.json", "/redoc")]


async def test_the_description_is_open_unless_it_is_closed(redis_url: str) -> None:
    """It tells what the repository tells; who does not want it says so once (ASVS 13.4.5)."""
    async with serving(redis_url) as usual:
        opened = await _opened(usual.http)
        told = orjson.loads((await usual.http.get("/openapi.json")).content)
    async with serving(redis_url, more={"docs": False}) as closed:
        shut = await _opened(closed.http)

    assert opened == [200, 200, 404]
    assert shut == [404, 404, 404]
    assert told["info"]["title"] == "dni-allocator"


@pytest.mark.parametrize(
    "host",
    [b"[", b"[::1", b"a:99999999", b"", b"\xff\xfe", b"a b", b"a/b?c#d", b"user@host", b"a:-1"],
)
async def test_no_name_of_a_host_breaks_an_answer(service: Service, host: bytes) -> None:
    """Addresses are made of it where DNI_PUBLIC_URL is not set; anybody may send any."""
    site = await service.pool(NUMBERS[0])
    told = [(b"Host", host), (b"Authorization", f"Bearer {ADMIN_KEY}".encode())]
    paths = [
        f"/tag.js?key={site.key}", f"/tag/amp.json?key={site.key}", "/docs", "/dashboard",
        f"/pools/{site.pool_id}/integration-code", "/nowhere", "/readyz",
    ]  # fmt: skip

    for path in paths:
        answer = await service.http.send(
            httpx.Request("GET", f"http://dni.example{path}", headers=told)
        )

        assert answer.status_code < 500, path
