"""Rows of the security review that belong to no one feature: origins, headers, odd JSON.

Where a feature is concerned, its own tests have them: scopes in test_key_scopes, forms of other
sites in test_dashboard, lease farming in test_who_gets_none, toll fraud in test_bad_input and
test_vendor_requests, webhooks turned inwards in tests/webhooks, the log in test_quiet_logs.
"""

import re

import httpx
import orjson
import pytest

from dni_allocator.dashboard.access import COOKIE
from tests.http.test_key_scopes import DOORS, Door
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL, SHOP, Service

EVIL = "https://evil.example"
ORIGINS = (ORIGIN, EVIL, "null")
FOR_ANY_PAGE = {"/tag.js", "/tag/{version}.js", "/tag/amp.json"}
"""Public by their nature: browsers of every site fetch them."""


def _path(door: Door) -> str:
    path = re.sub(r"\{(?:e164|number)(?::path)?\}", "+16025550100", door.path)
    return re.sub(r"\{\w+(?::path)?\}", "none", path)


def _granted(answer: httpx.Response) -> dict[str, str]:
    return {
        name: value for name, value in answer.headers.items() if name.startswith("access-control-")
    }


async def test_no_page_of_any_origin_may_read_the_administration(service: Service) -> None:
    """Each door, each origin, the call and its preflight: nothing is granted, even with a key."""
    granted = []
    auth = {"Authorization": f"Bearer {ADMIN_KEY}"}
    for door in DOORS:
        if door.path in FOR_ANY_PAGE:
            continue
        for origin in ORIGINS:
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": door.method,
                "Access-Control-Request-Headers": "authorization",
            }
            preflight = await service.http.options(_path(door), headers=asked)
            call = await service.http.request(
                door.method, _path(door), headers=auth | {"Origin": origin}
            )
            found = _granted(preflight) | _granted(call)
            if found or preflight.is_success:
                granted.append(f"{door.method} {door.path} from {origin}: {found}")

    assert granted == []


@pytest.mark.parametrize("path", ["/assign", "/heartbeat", "/close"])
@pytest.mark.parametrize("origin", [ORIGIN, EVIL, "null", None])
async def test_no_cookie_is_ever_asked_of_a_page(
    service: Service, path: str, origin: str | None
) -> None:
    """The tag's calls carry no credentials, so none are allowed; only the pool's pages may read."""
    site = await service.pool(*fictional(1))
    body = {"key": site.key, "visitor_id": "v", "page_id": "p"}

    answer = await service.tag(path, body, origin=origin)
    preflight = await service.http.options(
        path,
        headers={"Origin": origin or ORIGIN, "Access-Control-Request-Headers": "authorization"},
    )

    assert answer.is_success is (origin in {ORIGIN, None})
    found = _granted(answer) | _granted(preflight)
    assert "access-control-allow-credentials" not in found
    assert found["access-control-allow-headers"] == "content-type"


async def test_what_a_page_can_send_without_asking_opens_nothing(service: Service) -> None:
    """A foreign form or beacon, with the dashboard's cookie: the API knows no cookie."""
    site = await service.pool()
    login = await service.http.post(
        "/dashboard/login",
        data={"secret": ADMIN_KEY},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    cookie = f"{COOKIE}={login.headers['set-cookie'].partition('=')[2].partition(';')[0]}"
    before = service.contents()

    wrong = []
    for door in DOORS:
        if door.opens is None or door.method != "POST":
            continue
        path = _path(door).replace("/pools/none", f"/pools/{site.pool_id}")
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = await service.http.post(
                path,
                content=orjson.dumps(POOL),
                headers={"Content-Type": media, "Cookie": cookie, "Origin": EVIL},
            )
            if answer.status_code != 401:
                wrong.append(f"{path} as {media}: {answer.status_code}")

    assert login.status_code == 303
    assert wrong == []
    assert service.contents() == before


@pytest.mark.parametrize(
    "value",
    [b"x\r\nSet-Cookie: a=b", b"x\nX-Injected: 1", b"\r\n\r\nHTTP/1.1 200 OK", b"\x00\x7f\xff"],
)
async def test_nothing_that_is_sent_becomes_a_header(service: Service, value: bytes) -> None:
    """Origins, request ids, hosts and queries with line ends: none is repeated as it came."""
    site = await service.pool(*fictional(1), allowed_origins=["*"])
    text = value.decode("latin-1")
    body = orjson.dumps({"key": site.key, "visitor_id": "v", "page_id": "p"})
    sent = [(b"X-Request-Id", value), (b"X-Forwarded-For", value), (b"Referer", value)]
    with_key = [(b"Authorization", f"Bearer {ADMIN_KEY}".encode()), *sent]

    answers = [
        await service.http.post(
            "/assign", content=body, headers=[*sent, (b"Origin", b"x.example")]
        ),
        await service.http.get("/pools", params={"cursor": text}, headers=with_key),
        await service.http.get("/calls", params={"format": text}, headers=with_key),
        await service.http.get(f"/attribution/{SHOP}", params={"at": text}, headers=with_key),
        await service.http.get("/tag.js", params={"key": text}, headers=sent),
        await service.http.get("/dashboard", params={"next": text}, headers=sent),
        await service.http.get("/dashboard/login", params={"next": text}, headers=sent),
    ]

    for answer in answers:
        assert answer.status_code < 500
        for name, found in answer.headers.items():
            assert not re.search(r"[\r\n\x00-\x08\x7f]", found), (name, found)
            assert "Injected" not in found
            assert name not in {"set-cookie", "x-injected"}


@pytest.mark.parametrize(
    ("written", "status"),
    [
        (b'"fields":{"a":NaN}', 422), (b'"fields":{"a":-Infinity}', 422),
        (b'"fields":{"a":1e999}', 422),
        (b'"fields":{"a":-0.0}', 200), (b'"fields":{"a":0x10}', 400), (b'"fields":{"a":1,}', 400),
        (b'"fields":' + b'{"a":' * 100 + b"1" + b"}" * 100, 422),
        (b'"fields":{' + b",".join(b'"%d":1' % n for n in range(1500)) + b"}", 422),
        (b'"destinations":[' + b",".join([b"[]"] * 5000) + b"]", 422),
        (b'"previous":{' + b",".join(b'"%d":null' % n for n in range(1200)) + b"}", 422),
        (b'"__proto__":{"a":1},"constructor":1', 200), (b'"__class__":"x"', 200),
    ],
    ids=["nan", "infinity", "more-than-a-float", "minus-nothing", "hex", "comma", "deep", "wide",
         "many-lists", "many-previous", "prototype", "class"],
)  # fmt: skip
async def test_odd_json_of_a_page(service: Service, written: bytes, status: int) -> None:
    """Bombs and dialects within 16 KB: a clear answer, and nothing kept of what is refused."""
    site = await service.pool(*fictional(1))
    before = service.contents()
    body = b'{"key":"%b","visitor_id":"v","page_id":"p",%b}' % (site.key.encode(), written)

    answer = await service.http.post("/assign", content=body, headers={"Origin": ORIGIN})

    assert answer.status_code == status, answer.text
    if status != 200:
        assert service.contents() == before


@pytest.mark.parametrize("path", ["/assign", "/pools"])
async def test_of_a_name_written_twice_the_last_counts(service: Service, path: str) -> None:
    """As every parser of a browser has it: what is checked is what is used."""
    site = await service.pool(*fictional(1))
    auth = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
    twice = {
        "/assign": b'{"key":"pk_none","key":"%b","visitor_id":"\\n","visitor_id":"v"}'
        % site.key.encode(),
        "/pools": b'{"name":"one","name":"two","destinations":[],"destinations":["%b"]}'
        % SHOP.encode(),
    }

    answer = await service.http.post(path, content=twice[path], headers=auth)

    assert answer.is_success, answer.text
    assert (answer.json().get("visitor_id") or answer.json()["name"]) in {"v", "two"}


async def test_a_length_of_ten_thousand_digits(service: Service) -> None:
    """More digits than an integer may have are no reason to fall over."""
    for path in ("/assign", "/pools"):
        headers = [(b"Content-Length", b"9" * 10_000), (b"Content-Type", b"application/json")]

        answer = await service.http.post(path, content=b"{}", headers=headers)

        assert answer.status_code == 413, answer.text
