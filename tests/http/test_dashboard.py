"""The dashboard's door: who comes in, what they may do there, and what other sites cannot."""

import re
from dataclasses import dataclass
from html import unescape

import httpx
import pytest

from dni_allocator.dashboard.access import COOKIE
from dni_allocator.services.access import Scope
from tests.support.service import ADMIN_KEY, Service

HERE = {"Sec-Fetch-Site": "same-origin"}
PAGES = [
    "/dashboard",
    "/dashboard/calls",
    "/dashboard/webhooks",
    "/dashboard/buying",
    "/dashboard/keys",
    "/dashboard/audit",
    "/dashboard/new-pool",
]


@dataclass(slots=True)
class Desk:
    """A browser in which somebody signed in."""

    service: Service
    token: str

    async def get(self, path: str) -> httpx.Response:
        """Open a page."""
        return await self.service.http.get(path, headers={"Cookie": f"{COOKIE}={self.token}"})

    async def post(self, path: str, data: dict[str, object], **headers: str) -> httpx.Response:
        """Send a form from one of our own pages, unless the headers say otherwise."""
        sent = {"Cookie": f"{COOKIE}={self.token}", **HERE, **headers}
        return await self.service.http.post(path, data=data, headers=sent)

    async def send_table(self, path: str, table: bytes) -> httpx.Response:
        """Send a form with a file in it."""
        sent = {"Cookie": f"{COOKIE}={self.token}", **HERE}
        return await self.service.http.post(path, files={"table": table}, headers=sent)


async def sign_in(service: Service, secret: str = ADMIN_KEY) -> Desk:
    """Sign in as a person does."""
    answer = await service.http.post("/dashboard/login", data={"secret": secret}, headers=HERE)
    assert answer.status_code == 303, answer.text
    token = answer.cookies.get(COOKIE)
    assert token is not None
    service.http.cookies.clear()
    return Desk(service, token)


FORM: dict[str, object] = {
    "name": "Shop",
    "country": "US",
    "destinations": "(602) 313-3897",
    "allowed_origins": "https://shop.example\nhttps://www.shop.example",
    "idle_limit_s": "120",
    "closed_browser_delay_s": "15",
    "format": "e164",
}


async def test_nobody_sees_a_page_without_signing_in(service: Service) -> None:
    """Whoever comes without a session is led to the door, and from there to where they wanted."""
    for page in PAGES:
        answer = await service.http.get(page)

        assert answer.status_code == 303, page
        assert answer.headers["location"] == f"/dashboard/login?next={page}"


async def test_a_wrong_key_opens_nothing(service: Service) -> None:
    """The same answer for every wrong key, and no session."""
    answer = await service.http.post("/dashboard/login", data={"secret": "sk_wrong"}, headers=HERE)

    assert answer.status_code == 401
    assert "This key opens nothing." in answer.text
    assert "set-cookie" not in answer.headers


async def test_the_session_is_a_host_cookie_that_scripts_cannot_read(service: Service) -> None:
    """`__Host-` binds it to this host over HTTPS; other sites' requests go without it."""
    answer = await service.http.post("/dashboard/login", data={"secret": ADMIN_KEY}, headers=HERE)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie
    assert ADMIN_KEY not in cookie


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/dashboard/login", ""]
)
async def test_signing_in_leads_to_no_other_site(service: Service, elsewhere: str) -> None:
    """The address to go on to is one of ours, whatever a link says."""
    answer = await service.http.post(
        "/dashboard/login", data={"secret": ADMIN_KEY, "next": elsewhere}, headers=HERE
    )

    assert answer.headers["location"] == "/dashboard"


async def test_rules_of_autoscale_are_written_whole_or_not_at_all(service: Service) -> None:
    """The bounds are the pool's, the rules its own: a fault in either writes neither."""
    desk = await sign_in(service)
    site = await service.pool()
    page = f"/dashboard/pools/{site.pool_id}/autoscale"
    revision = re.findall(r'name="revision" value="(\w*)"', (await desk.get(page)).text)[0]
    form = {"mode": "approval", "type": "local", "currency": "USD", "revision": revision}

    faulty = [
        await desk.post(page, {**form, "max_size": "9", "vendor": "nobody"}),
        await desk.post(page, {**form, "min_size": "10", "max_size": "9", "vendor": "sandbox"}),
        await desk.post(page, {**form, "max_size": "9", "step_cap": "0", "vendor": "sandbox"}),
    ]
    late = await desk.post(page, {**form, "revision": "0", "vendor": "sandbox"})
    pool = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    rules = (await service.admin("GET", f"/pools/{site.pool_id}/autoscale")).json()["rules"]
    good = await desk.post(page, {**form, "max_size": "9", "vendor": "sandbox"})

    assert [each.status_code for each in faulty] == [422, 422, 422]
    assert all('class="wrong"' in each.text for each in faulty)
    assert late.status_code == 409
    assert (pool["max_size"], rules) == (None, None)
    assert good.headers["location"] == f"{page}?done=ruled"
    pool = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    assert pool["max_size"] == 9


async def test_a_reader_sees_how_a_pool_scales_and_changes_nothing(service: Service) -> None:
    """No form, and none is taken; nor from a page of another site."""
    site = await service.pool()
    page = f"/dashboard/pools/{site.pool_id}/autoscale"
    made = (await service.admin("POST", "/keys", {"name": "Ann", "scopes": ["read"]})).json()
    reader = await sign_in(service, made["secret"])
    operator = await sign_in(service)
    form: dict[str, object] = {"mode": "approval", "vendor": "sandbox"}

    seen = await reader.get(page)
    refused = [
        await reader.post(page, form),
        await reader.post(f"{page}/stop", {}),
        await operator.post(page, form, **{"Sec-Fetch-Site": "cross-site"}),
        await operator.post(f"{page}/stop", {}, **{"Sec-Fetch-Site": "cross-site"}),
    ]

    assert "It does not scale" in seen.text
    assert "Let it scale" not in seen.text
    assert [each.status_code for each in refused] == [403, 403, 403, 403]


async def test_signing_out_ends_the_session_in_the_store(service: Service) -> None:
    """A stolen cookie is worth nothing after its owner has left."""
    desk = await sign_in(service)
    assert (await desk.get("/dashboard")).status_code == 200

    await desk.post("/dashboard/logout", {})

    assert (await desk.get("/dashboard")).status_code == 303


async def test_a_revoked_key_ends_its_sessions_at_once(service: Service) -> None:
    """A session never opens more than its key does at that moment."""
    made = (await service.admin("POST", "/keys", {"name": "Ann", "scopes": ["admin"]})).json()
    desk = await sign_in(service, made["secret"])
    assert (await desk.get("/dashboard")).status_code == 200

    await service.admin("DELETE", f"/keys/{made['id']}")

    assert (await desk.get("/dashboard")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
    ],
    ids=["another site", "a sister host", "no fetch metadata"],
)
async def test_forms_of_other_sites_change_nothing(
    service: Service, headers: dict[str, str]
) -> None:
    """Even with the cookie: the browser says where a request comes from."""
    desk = await sign_in(service)
    before = service.contents()

    answer = await desk.post("/dashboard/new-pool", FORM, **headers)

    assert answer.status_code == 403
    assert {key for key in service.contents() if "pool_" in key} == {
        key for key in before if "pool_" in key
    }


async def test_an_older_browser_is_judged_by_its_origin(service: Service) -> None:
    """Without Fetch Metadata the `Origin` of our own address is as good."""
    answer = await service.http.post(
        "/dashboard/login", data={"secret": ADMIN_KEY}, headers={"Origin": "http://dni.example"}
    )

    assert answer.status_code == 303


@pytest.mark.parametrize("page", [*PAGES, "/dashboard/login", "/dashboard/static/dashboard.css"])
async def test_every_page_forbids_what_it_does_not_need(service: Service, page: str) -> None:
    """No inline script or style, no frame around it, nothing kept by caches."""
    desk = await sign_in(service)

    answer = await desk.get(page)

    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)| style=| on\w+=", answer.text)


async def test_a_form_makes_the_pool_the_api_would_make(service: Service) -> None:
    """Form and JSON body mean the same; what is left empty gets the documented default."""
    desk = await sign_in(service)

    answer = await desk.post("/dashboard/new-pool", FORM)

    assert answer.status_code == 303, answer.text
    (pool,) = (await service.admin("GET", "/pools")).json()["pools"]
    assert answer.headers["location"] == f"/dashboard/pools/{pool['id']}?done=created"
    assert pool["destinations"] == ["+16023133897"]
    assert pool["allowed_origins"] == ["https://shop.example", "https://www.shop.example"]
    assert (pool["idle_limit_s"], pool["closed_browser_delay_s"]) == (120, 15)
    assert (pool["format"], pool["attribution_window_s"]) == ("e164", 259_200)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"idle_limit_s": "2"}, "idle_limit_s"),
        ({"idle_limit_s": "soon"}, "idle_limit_s"),
        ({"destinations": "12"}, "destinations"),
        ({"name": " "}, "name"),
        ({"serves": "{not json"}, "serves"),
        ({"format": "roman"}, "format"),
    ],
)
async def test_a_wrong_form_comes_back_with_what_is_wrong(
    service: Service, wrong: dict[str, object], field: str
) -> None:
    """Nothing is made, nothing that was typed is lost, and the finding stands at its field."""
    desk = await sign_in(service)

    answer = await desk.post("/dashboard/new-pool", {**FORM, **wrong})

    assert answer.status_code == 422
    assert (await service.admin("GET", "/pools")).json()["pools"] == []
    block = answer.text[answer.text.index(f'name="{field}"') :]
    assert 'role="alert"' in block[: block.index("</div>")]
    assert "https://www.shop.example" in answer.text


async def test_settings_are_saved_and_shown_again(service: Service) -> None:
    """The form of a pool holds what the pool has; saved unchanged, nothing changes."""
    site = await service.pool("+16025550101")
    desk = await sign_in(service)
    before = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    page = await desk.get(f"/dashboard/pools/{site.pool_id}/settings")

    answer = await desk.post(f"/dashboard/pools/{site.pool_id}/settings", typed_in(page.text))

    assert answer.status_code == 303, answer.text
    after = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    assert {**after, "revision": 0} == {**before, "revision": 0}


async def test_two_people_do_not_overwrite_each_other(service: Service) -> None:
    """Whoever saves a form that was loaded before somebody else's change is told so."""
    site = await service.pool()
    desk = await sign_in(service)
    form = typed_in((await desk.get(f"/dashboard/pools/{site.pool_id}/settings")).text)
    await service.admin("PATCH", f"/pools/{site.pool_id}", {"campaign": "Spring"})

    answer = await desk.post(f"/dashboard/pools/{site.pool_id}/settings", form)

    assert answer.status_code == 409
    pool = (await service.admin("GET", f"/pools/{site.pool_id}")).json()
    assert pool["campaign"] == "Spring"


async def test_every_number_says_who_holds_it(service: Service) -> None:
    """Beside its state and its shelf; a free one says nobody."""
    site = await service.pool("+16025550101", "+16025550102")
    await site.view("visitor-one")
    desk = await sign_in(service)

    page = (await desk.get(f"/dashboard/pools/{site.pool_id}")).text

    table = page[page.index('id="numbers"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:3]
    assert sorted("visitor-one" in row for row in rows) == [False, True]


async def test_a_key_to_read_looks_and_changes_nothing(service: Service) -> None:
    """Pages without their forms; a form sent all the same is refused."""
    site = await service.pool("+16025550101")
    desk = await sign_in(service, service.secret(Scope.READ))

    page = await desk.get(f"/dashboard/pools/{site.pool_id}")
    answer = await desk.post(
        f"/dashboard/pools/{site.pool_id}/quarantine", {"number": "+16025550101"}
    )

    assert page.status_code == 200
    assert "Quarantine" not in page.text
    assert answer.status_code == 403


async def test_calls_are_seen_with_the_scope_that_opens_them(service: Service) -> None:
    """`read` alone opens them neither here nor by the API."""
    site = await service.pool("+16025550101")
    await site.view("v")
    call = (await service.admin("POST", "/calls", {"number": "+16025550101"})).json()["id"]
    reader = await sign_in(service, service.secret(Scope.READ))
    hearer = await sign_in(service, service.secret(Scope.READ, Scope.CALLS))
    pages = ["/dashboard/calls", "/dashboard/calls/export.csv", f"/dashboard/calls/{call}"]

    assert [(await reader.get(page)).status_code for page in pages] == [403, 403, 403]
    assert [(await hearer.get(page)).status_code for page in pages] == [200, 200, 200]
    assert "/dashboard/calls" not in (await reader.get("/dashboard")).text
    assert "/dashboard/calls" in (await hearer.get("/dashboard")).text


async def test_a_table_of_numbers_is_read_as_the_api_reads_it(service: Service) -> None:
    """Places are figures, and a column that is none of ours is refused as a whole."""
    site = await service.pool()
    desk = await sign_in(service)
    path = f"/dashboard/pools/{site.pool_id}/numbers"
    good = "number,latitude,longitude,label\n+16025550101,33.45,-112.07,north\n+16025550102,,,\n"
    bad = "number,vendor\n+16025550103,twilio\n"

    taken = await desk.send_table(path, good.encode())
    refused = await desk.send_table(path, bad.encode())
    strange = await desk.send_table(path, b"number\n\xff\xfe\n")

    assert (taken.status_code, refused.status_code, strange.status_code) == (303, 422, 422)
    assert "vendor" in refused.text
    found = (await service.admin("GET", f"/pools/{site.pool_id}/numbers")).json()["numbers"]
    assert {each["number"]: each["facts"] for each in found} == {
        "+16025550101": {"latitude": 33.45, "longitude": -112.07, "label": "north"},
        "+16025550102": {},
    }


async def test_a_key_limited_to_a_pool_sees_that_pool_only(service: Service) -> None:
    """Neither other pools nor what belongs to none."""
    mine, other = await service.pool(name="Mine"), await service.pool(name="Other")
    body = {"name": "Ann", "scopes": ["admin"], "pools": [mine.pool_id]}
    desk = await sign_in(service, (await service.admin("POST", "/keys", body)).json()["secret"])

    pools = await desk.get("/dashboard")

    assert "Mine" in pools.text
    assert "Other" not in pools.text
    assert (await desk.get(f"/dashboard/pools/{mine.pool_id}")).status_code == 200
    assert (await desk.get(f"/dashboard/pools/{other.pool_id}")).status_code == 403
    for page in ("/dashboard/webhooks", "/dashboard/buying", "/dashboard/keys", "/dashboard/audit"):
        assert (await desk.get(page)).status_code == 403, page
    assert (await desk.post("/dashboard/new-pool", FORM)).status_code == 403


async def test_what_is_done_at_the_dashboard_stands_in_the_audit_log(service: Service) -> None:
    """Whichever way a change is made, the log has it, and by whose key; a refused one is none."""
    site = await service.pool("+16025550101")
    made = (await service.admin("POST", "/keys", {"name": "Ann", "scopes": ["admin"]})).json()
    desk = await sign_in(service, made["secret"])
    await desk.post(f"/dashboard/pools/{site.pool_id}/quarantine", {"number": "+16025550101"})
    await desk.post(f"/dashboard/pools/{site.pool_id}/numbers", {"typed": ""})

    page = await desk.get("/dashboard/audit")

    assert "POST /dashboard/pools/{pool_id}/quarantine" in page.text
    assert f'Ann <span class="hint id">{made["id"]}</span>' in page.text
    assert "POST /dashboard/pools/{pool_id}/numbers" not in page.text
    assert "6025550101" not in page.text


async def test_what_pages_and_people_typed_is_text_and_nothing_else(service: Service) -> None:
    """A pool's name and what a page told may hold anything, but never markup."""
    evil = "<img src=x onerror=alert(1)>"
    site = await service.pool("+16025550101", name=evil)
    await site.view("v", url=f"https://shop.example/?{evil}", fields={"utm_source": evil})
    await service.admin("POST", "/calls", {"number": "+16025550101"})
    desk = await sign_in(service)
    (call,) = (await service.admin("GET", "/calls")).json()["calls"]

    for page in ("/dashboard", f"/dashboard/pools/{site.pool_id}", "/dashboard/calls",
                 f"/dashboard/calls/{call['id']}"):  # fmt: skip
        answer = await desk.get(page)
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text, page


async def test_a_pool_that_there_is_not_is_said_to_a_person(service: Service) -> None:
    """A page for people, with the status of the API."""
    desk = await sign_in(service)

    answer = await desk.get("/dashboard/pools/pool_nobody")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "Unknown pool" in answer.text


def typed_in(page: str) -> dict[str, object]:
    """What a browser would send of the form on a settings page."""
    sent: dict[str, object] = {}
    for attributes in re.findall(r"<input ([^>]*)>", page):
        name = re.search(r'name="(\w+)"', attributes)
        if name and ("checkbox" not in attributes or " checked" in attributes):
            value = re.search(r'value="([^"]*)"', attributes)
            sent[name[1]] = unescape(value[1]) if value else "on"
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>([^<]*)</textarea>', page):
        sent[name] = unescape(text)
    for name, options in re.findall(
        r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', page, re.DOTALL
    ):
        chosen = re.search(r"<option selected>([^<]*)<", options)
        sent[name] = chosen[1] if chosen else re.findall(r"<option[^>]*>([^<]*)<", options)[0]
    return sent
