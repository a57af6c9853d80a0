"""The tag-facing calls: shapes of answers, CORS, the tag itself."""

import base64
import hashlib
import json
import re
from html import unescape

import httpx
import pytest

from dni_allocator import __version__
from tests.http.test_bad_input import assert_problem
from tests.support.service import ADMIN_KEY, ORIGIN, SHOP, Service

NUMBER = "+16025550100"
ASK = {"visitor_id": "v", "page_id": "p"}


async def test_assign_answers_with_all_formats(service: Service) -> None:
    """The tag can write the number in any style without knowing anything about numbers."""
    site = await service.pool(NUMBER)

    answer = await service.tag("/assign", {"key": site.key, **ASK})

    assert answer.headers["cache-control"] == "no-store"
    (number,) = answer.json()["numbers"]
    assert answer.json()["heartbeat_s"] == 60
    assert number == {
        "destination": SHOP,
        "number": NUMBER,
        "display": "(602) 555-0100",
        "formats": {
            "e164": NUMBER,
            "national": "(602) 555-0100",
            "international": "+1 602-555-0100",
            "rfc3966": "tel:+1-602-555-0100",
        },
        "status": "leased",
        "reason": "new",
        "expires_in_s": 300,
        "lease_id": f"lse_{site.pool_id.removeprefix('pool_')}_1",
    }


async def test_ids_are_made_for_who_has_none(service: Service) -> None:
    """A first call without ids gets some, unguessable, and different each time."""
    site = await service.pool(NUMBER, "+16025550101")

    one, two = [(await service.tag("/assign", {"key": site.key})).json() for _ in range(2)]

    assert len({one["visitor_id"], two["visitor_id"], one["page_id"], two["page_id"]}) == 4
    assert len(one["visitor_id"]) >= 22


@pytest.mark.parametrize(
    ("display", "expected"),
    [
        ("mirror", "(602) 555-0100"), ("national", "(602) 555-0100"), ("e164", NUMBER),
        ("international", "+1 602-555-0100"), ("rfc3966", "tel:+1-602-555-0100"),
    ],
)  # fmt: skip
async def test_display_follows_the_pools_format(
    service: Service, display: str, expected: str
) -> None:
    """One setting decides how numbers are written where the page gives no pattern."""
    site = await service.pool(NUMBER, format=display)

    answer = await service.tag("/assign", {"key": site.key, **ASK})

    assert answer.json()["numbers"][0]["display"] == expected


async def test_destinations_may_be_written_as_on_the_page(service: Service) -> None:
    """National or E.164, each is answered once, in the page's order."""
    site = await service.pool(NUMBER)

    shown = await site.view("v", destinations=["(602) 496-1599", "602.313.3897", SHOP])

    assert [(each.number, each.status) for each in shown] == [
        ("+16024961599", "original"),
        (NUMBER, "leased"),
    ]


async def test_a_page_without_destinations_is_answered_with_nothing(service: Service) -> None:
    """An empty list means: none found. No number is spent."""
    site = await service.pool(NUMBER)
    before = service.contents()

    assert await site.view("v", destinations=[]) == []
    assert service.contents() == before


async def test_a_paused_pool_leases_nothing(service: Service) -> None:
    """Paused, the page stays as its author made it; unpaused it goes on with the next call."""
    site = await service.pool(NUMBER)
    await service.admin("PATCH", f"/pools/{site.pool_id}", {"paused": True})

    (shown,) = await site.view("v")
    assert (shown.number, shown.status, shown.reason) == (SHOP, "original", "paused")

    await service.admin("PATCH", f"/pools/{site.pool_id}", {"paused": False})
    assert await site.number("v") == NUMBER


async def test_without_consent_nothing_is_kept_beside_the_lease(service: Service) -> None:
    """The number works; the marketing data are not stored."""
    site = await service.pool(NUMBER)

    await site.view("v", consent="none", fields={"gclid": "1"}, url="https://shop.example/")

    found = await service.attribution(NUMBER)
    assert (found["visitor_id"], found["fields"], found["url"]) == ("v", {}, None)


async def test_only_wanted_fields_are_kept(service: Service) -> None:
    """A pool that names its marketing fields keeps no others."""
    site = await service.pool(NUMBER, marketing_fields=["gclid"])

    await site.view("v", fields={"gclid": "1", "email": "x@example.com"})

    assert (await service.attribution(NUMBER))["fields"] == {"gclid": "1"}


@pytest.mark.parametrize(
    ("allowed", "origin", "passes"),
    [
        ([ORIGIN], ORIGIN, True),
        ([ORIGIN], "https://www.shop.example", False),
        ([ORIGIN], "http://shop.example", False),
        ([ORIGIN], "https://shop.example:8443", False),
        (["https://shop.example:8443"], "https://shop.example:8443", True),
        (["https://SHOP.example:443/"], ORIGIN, True),
        (["https://*.shop.example"], "https://www.shop.example", True),
        (["https://*.shop.example"], "https://a.b.shop.example", True),
        (["https://*.shop.example"], ORIGIN, False),
        (["https://*.shop.example"], "https://evilshop.example", False),
        (["https://*.shop.example"], "https://shop.example.evil.example", False),
        (["*"], "https://anybody.example", True),
        (["*"], "null", True),
        ([ORIGIN], "null", False),
        ([], ORIGIN, False),
        ([], None, True),
    ],
)
async def test_cors(
    service: Service, allowed: list[str], origin: str | None, *, passes: bool
) -> None:
    """Pages of allowed origins may read the answer, others get neither answer nor number."""
    site = await service.pool(NUMBER, allowed_origins=allowed)

    answer = await service.tag("/assign", {"key": site.key, **ASK}, origin=origin)

    assert answer.status_code == (200 if passes else 403)
    granted = answer.headers.get("access-control-allow-origin")
    assert granted == (origin if passes else "*")
    if passes and origin is not None:
        assert answer.headers["vary"] == "Origin"


async def test_an_edit_of_the_origins_holds_from_the_next_call(service: Service) -> None:
    """Though pools are remembered in the process, no page uses an old allow-list."""
    site = await service.pool(NUMBER)
    await site.view("v")
    await service.admin("PATCH", f"/pools/{site.pool_id}", {"allowed_origins": []})

    assert (await service.tag("/assign", {"key": site.key, **ASK})).status_code == 403


@pytest.mark.parametrize("path", ["/assign", "/heartbeat", "/close"])
async def test_preflight(service: Service, path: str) -> None:
    """A caller that sends JSON as JSON is asked about it first; no key is known yet."""
    answer = await service.http.options(
        path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert int(answer.headers["access-control-max-age"]) > 0


async def test_the_configured_tag(service: Service) -> None:
    """One script, set up for its pool, for any site, cached for minutes only."""
    site = await service.pool(NUMBER)

    answer = await service.http.get("/tag.js", params={"key": site.key})

    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert site.key in answer.text
    assert SHOP in answer.text


async def test_the_pinned_tag_is_what_the_integration_code_says(service: Service) -> None:
    """The hash in the snippet is that of the file, so browsers refuse any other."""
    site = await service.pool(NUMBER)
    code = (await service.admin("GET", f"/pools/{site.pool_id}/integration-code")).json()

    answer = await service.http.get(f"/tag/{__version__}.js")

    assert "immutable" in answer.headers["cache-control"]
    digest = base64.b64encode(hashlib.sha384(answer.content).digest()).decode()
    assert code["integrity"] == f"sha384-{digest}"
    assert code["integrity"] in code["pinned_html"]
    assert f'src="http://dni.example/tag.js?key={site.key}"' in code["html"]
    config = re.search(r'data-config="([^"]+)"', code["pinned_html"])
    assert config is not None
    settings = json.loads(unescape(config[1]))
    assert (settings["key"], settings["destinations"][0][0]) == (site.key, SHOP)


@pytest.mark.parametrize(
    "path", ["/tag.js", f"/tag/{__version__}.js", f"/tag/{__version__}.more.js"]
)
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("*", "gzip"),
        ("identity", None),
        ("gzip;q=0, *", None),
        ("br", None),
    ],
)
async def test_scripts_are_compressed_for_whoever_takes_it(
    service: Service, path: str, accepted: str, encoding: str | None
) -> None:
    """No proxy is needed for the small tag; what a browser unpacks has the same bytes."""
    site = await service.pool(NUMBER)
    query = {"key": site.key} if path == "/tag.js" else {}
    plain = await service.http.get(path, params=query, headers={"Accept-Encoding": "identity"})

    answer = await service.http.get(path, params=query, headers={"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == plain.content
    sent = int(answer.headers["content-length"])
    assert sent < len(plain.content) * 0.52 if encoding else sent == len(plain.content)


async def test_client_that_names_no_encoding_gets_the_script_as_it_is(service: Service) -> None:
    """Small programs leave the header out; they must not be handed what they cannot unpack."""
    request = service.http.build_request("GET", f"/tag/{__version__}.js")
    del request.headers["Accept-Encoding"]

    answer = await service.http.send(request)

    assert "content-encoding" not in answer.headers
    assert answer.text.startswith("/*! dni_allocator tag")


async def test_integration_code_is_there_for_every_place_a_site_is_made_in(
    service: Service,
) -> None:
    """HTML, tag manager, WordPress, React and AMP: each names the pool and this service."""
    site = await service.pool(NUMBER)
    code = (await service.admin("GET", f"/pools/{site.pool_id}/integration-code")).json()

    for place in ("html", "tag_manager", "wordpress", "react", "amp"):
        assert site.key in code[place], place
        assert "http://dni.example/tag" in code[place], place
    assert "data-dni-hide" in code["hiding_css"]


async def test_second_file_is_the_one_the_pinned_snippet_has_the_hash_of(
    service: Service,
) -> None:
    """What a pinned tag loads later is pinned by the settings beside it."""
    site = await service.pool(NUMBER)
    code = (await service.admin("GET", f"/pools/{site.pool_id}/integration-code")).json()
    more = await service.http.get(f"/tag/{__version__}.more.js")

    digest = base64.b64encode(hashlib.sha384(more.content).digest()).decode()
    assert f'"pin":"sha384-{digest}"' in unescape(code["pinned_html"])


async def test_dictionary_of_the_pool_reaches_the_tag_and_filters_what_comes(
    service: Service,
) -> None:
    """An entry is a name, or says where the tag finds the field; both are kept, no others."""
    fields = ["gclid", {"name": "plan", "source": "variable", "key": "app.plan", "touch": "first"}]
    site = await service.pool(NUMBER, marketing_fields=fields)

    tag = await service.http.get("/tag.js", params={"key": site.key})
    await site.view("v", fields={"gclid": "1", "plan": "pro", "email": "x@example.com"})

    assert '["plan","variable","app.plan","first"]' in tag.text
    assert (await service.attribution(NUMBER))["fields"] == {"gclid": "1", "plan": "pro"}
    read = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    assert read["marketing_fields"] == fields


async def test_search_engine_and_keyword_come_from_the_referrer(service: Service) -> None:
    """Of the last touch and of the first, where the engine tells."""
    site = await service.pool(NUMBER)
    told = {
        "referrer": "https://www.google.com/",
        "first_referrer": "https://duckduckgo.com/?q=red%20shoes",
    }

    await site.view("v", fields=told)

    assert (await service.attribution(NUMBER))["fields"] == {
        **told,
        "search_engine": "google",
        "first_search_engine": "duckduckgo",
        "first_search_keyword": "red shoes",
    }


async def test_amp_page_gets_a_number_without_a_script(service: Service) -> None:
    """`amp-call-tracking` asks with AMP's client id; the same reader keeps the number."""
    site = await service.pool(NUMBER)
    query = {"key": site.key, "destination": SHOP[1:], "client": "amp-reader"}

    one, two = [
        await service.http.get("/tag/amp.json", params=query, headers={"Origin": ORIGIN})
        for _ in range(2)
    ]

    assert one.json() == two.json()
    assert one.json()["phoneNumber"] == NUMBER
    assert one.headers["access-control-allow-origin"] == ORIGIN
    # AMP fetches with credentials: a browser then wants this, and no star.
    assert one.headers["access-control-allow-credentials"] == "true"
    assert one.headers["cache-control"] == "no-store"
    assert (await service.attribution(NUMBER))["route_to"] == SHOP


async def test_an_amp_page_read_by_a_robot_leases_nothing(service: Service) -> None:
    """Caches and crawlers fetch AMP pages, too: who gets none elsewhere gets none here."""
    site = await service.pool(NUMBER)
    query = {"key": site.key, "destination": SHOP[1:], "client": "amp-reader"}
    robot = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)", "Origin": ORIGIN}

    answer = await service.http.get("/tag/amp.json", params=query, headers=robot)

    assert answer.json()["phoneNumber"] == SHOP
    assert await site.number("ann") == NUMBER


async def test_another_version_of_the_tag_is_not_here(service: Service) -> None:
    """A pinned version is never answered by another one."""
    assert_problem(await service.http.get("/tag/0.0.0-none.js"), 404, "not-found")


@pytest.mark.parametrize("path", ["/assign", "/heartbeat", "/close"])
async def test_the_tags_calls_are_posts(service: Service, path: str) -> None:
    """Another method is told which one is right."""
    answer = await service.http.get(path)

    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST, OPTIONS"


async def test_behind_a_proxy_with_tls_the_snippet_says_https(service: Service) -> None:
    """A proxy that is believed tells how browsers reach the service; anybody else tells nothing."""
    site = await service.pool(NUMBER)
    path = f"/pools/{site.pool_id}/integration-code"
    told = {"Authorization": f"Bearer {ADMIN_KEY}", "X-Forwarded-Proto": "https"}

    near = await service.http.get(path, headers=told)
    transport = httpx.ASGITransport(service.app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://dni.example") as far_away:
        far = await far_away.get(path, headers=told)

    assert 'src="https://dni.example/tag.js' in near.json()["html"]
    assert 'src="http://dni.example/tag.js' in far.json()["html"]
