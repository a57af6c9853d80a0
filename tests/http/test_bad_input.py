"""Whatever is sent, the answer is a problem document with the right status, and nothing is kept."""

import base64
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from tests.support.service import ADMIN_KEY, POOL, SHOP, Service, Site

NUMBER = "+16025550100"
ASSIGN = {"visitor_id": "v", "page_id": "p"}


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """RFC 9457, with every member this service promises."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:dni-allocator:problem:{code}"
    assert problem["title"]
    assert problem["detail"]


@pytest.fixture
async def site(service: Service) -> Site:
    """A pool with one number, and a visitor who has it not."""
    return await service.pool(NUMBER)


@pytest.mark.parametrize("path", ["/assign", "/heartbeat", "/close"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"", 400, "malformed-json", id="empty"),
        pytest.param(b"{bad", 400, "malformed-json", id="broken"),
        pytest.param(b'{"key":"\xff\xfe"}', 400, "malformed-json", id="not-utf-8"),
        pytest.param(b'{"key":"\\ud800"}', 400, "malformed-json", id="lone-surrogate"),
        pytest.param(b'{"key":"' + b"\x00" + b'"}', 400, "malformed-json", id="raw-nul"),
        pytest.param(b'{"key":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "malformed-json",
                     id="deep"),
        pytest.param(b"[]", 422, "invalid-request", id="array"),
        pytest.param(b"null", 422, "invalid-request", id="null"),
        pytest.param(b"{}", 422, "invalid-request", id="no-key"),
        pytest.param(b'{"key":1,"visitor_id":"v","page_id":"p"}', 422, "invalid-request",
                     id="key-is-a-number"),
        pytest.param(b'{"key":"","visitor_id":"v","page_id":"p"}', 422, "invalid-request",
                     id="key-is-empty"),
        pytest.param(b'{"key":"pk_none","visitor_id":"v","page_id":"p"}', 403, "unknown-key",
                     id="unknown-key"),
        pytest.param(b'{"key":"pk_\\u0000\\n","visitor_id":"v","page_id":"p"}', 403,
                     "unknown-key", id="key-of-control-characters"),
        pytest.param(b'{"key":"' + b"k" * 17_000 + b'"}', 413, "body-too-large", id="17-kb"),
    ],
)  # fmt: skip
async def test_bad_bodies_of_the_tag(  # noqa: PLR0917 - pytest passes by name
    service: Service, site: Site, path: str, body: bytes, status: int, code: str
) -> None:
    """Anybody can post anything to a public endpoint; nothing of it may stick."""
    before = service.contents()

    answer = await service.http.post(path, content=body)

    assert_problem(answer, status, code)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert service.contents() == before
    assert site.pool_id


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"visitor_id": 7}, id="id-is-a-number"),
        pytest.param({"visitor_id": ""}, id="id-is-empty"),
        pytest.param({"visitor_id": "a" * 129}, id="id-is-long"),
        pytest.param({"visitor_id": "a\tb"}, id="tab-in-id"),
        pytest.param({"visitor_id": "a\n"}, id="newline-at-the-end-of-id"),
        pytest.param({"visitor_id": ".."}, id="id-is-dots"),
        pytest.param({"page_id": "a\0"}, id="nul-in-id"),
        pytest.param({"page_id": "a:b"}, id="colon-in-id"),
        pytest.param({"page_id": "é"}, id="letters-of-elsewhere-in-id"),
        pytest.param({"destinations": "+16023133897"}, id="destinations-is-text"),
        pytest.param({"destinations": [16023133897]}, id="destination-is-an-integer"),
        pytest.param({"destinations": ["call us"]}, id="destination-is-words"),
        pytest.param({"destinations": ["+1\x00"]}, id="destination-is-control"),
        pytest.param({"destinations": ["\t\n"]}, id="destination-is-white"),
        pytest.param({"destinations": ["+1602313389799"]}, id="destination-is-too-long"),
        pytest.param({"destinations": ["9" * 41]}, id="destination-is-huge"),
        pytest.param({"destinations": [SHOP] * 51}, id="too-many-destinations"),
        pytest.param({"fields": []}, id="fields-is-a-list"),
        pytest.param({"fields": {"a": {}}}, id="field-is-an-object"),
        pytest.param({"fields": {"a": None}}, id="field-is-null"),
        pytest.param({"fields": {"": "x"}}, id="field-without-a-name"),
        pytest.param({"fields": {"a": "x" * 2049}}, id="field-is-long"),
        pytest.param({"fields": {str(n): "x" for n in range(65)}}, id="too-many-fields"),
        pytest.param({"previous": [NUMBER]}, id="previous-is-a-list"),
        pytest.param({"previous": {SHOP: 1}}, id="previous-is-a-number"),
        pytest.param({"consent": "maybe"}, id="consent-is-unknown"),
        pytest.param({"url": 3}, id="url-is-a-number"),
        pytest.param({"url": "x" * 4097}, id="url-is-long"),
    ],
)
async def test_wrong_shapes_of_assign(
    service: Service, site: Site, extra: dict[str, object]
) -> None:
    """422 is for shape; the value is not repeated, it could be personal."""
    before = service.contents()

    answer = await service.tag("/assign", {"key": site.key, **ASSIGN, **extra})

    assert_problem(answer, 422, "invalid-request")
    assert answer.json()["errors"][0]["field"].partition(".")[0] in extra
    assert service.contents() == before


async def test_a_huge_number_in_a_field_is_refused(service: Service, site: Site) -> None:
    """More digits than anything turns into a number must be an answer, not a crash."""
    before = service.contents()
    body = b'{"key":"%b","fields":{"n":%b}}' % (site.key.encode(), b"9" * 6000)

    answer = await service.http.post("/assign", content=body)

    assert_problem(answer, 400, "malformed-json")
    assert service.contents() == before


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "tab\there", "name\t2": "new\nline", "nul": "\0"},
        {"n": 1.5, "big": 10**30, "yes": True},
        {"emoji": "☎️", "quote": '"\\'},
    ],
    ids=["control", "numbers", "unicode"],
)
async def test_strange_but_good_fields_come_back_as_they_went(
    service: Service, site: Site, fields: dict[str, object]
) -> None:
    """Tabs separate the store's own records; those of a visitor must not be mistaken for them."""
    answer = await service.http.post(
        "/assign",
        json={"key": site.key, **ASSIGN, "fields": fields, "url": "https://x/\t"},
    )

    assert answer.status_code == 200
    found = await service.attribution(answer.json()["numbers"][0]["number"])
    kept = found["fields"]
    assert isinstance(kept, dict)
    assert kept.keys() == fields.keys()
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    assert texts.items() <= kept.items()
    assert found["url"] == "https://x/\t"


async def test_a_previous_number_of_control_characters_is_just_not_theirs(
    service: Service, site: Site
) -> None:
    """What a page claims to have had is only looked up, whatever it is."""
    body = {"key": site.key, **ASSIGN, "previous": {SHOP: "+1\t2\0", "\t": "x", "a": None}}

    answer = await service.tag("/assign", body)

    assert answer.json()["numbers"][0]["reason"] == "new"


async def test_a_chunked_body_of_17_kb(service: Service, site: Site) -> None:
    """Without a declared length the body is counted as it comes."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"key":"' + site.key.encode() + b'","url":"'
        for _ in range(17):
            yield b"x" * 1024

    before = service.contents()

    answer = await service.http.post("/assign", content=chunks())

    assert_problem(answer, 413, "body-too-large")
    assert service.contents() == before


async def test_a_foreign_origin(service: Service, site: Site) -> None:
    """The key is public, so a page of somebody else must not be able to use it."""
    for path in ("/assign", "/heartbeat", "/close"):
        before = service.contents()

        answer = await service.tag(path, {"key": site.key, **ASSIGN}, origin="https://evil.example")

        assert_problem(answer, 403, "origin-not-allowed")
        assert service.contents() == before


async def test_a_destination_outside_the_allow_list_is_left_alone(
    service: Service, site: Site
) -> None:
    """A page cannot make the pool route calls to a number of its choice (toll fraud)."""
    before = service.contents()

    (shown,) = await site.view("v", destinations=["+16024961599"])

    assert (shown.number, shown.status, shown.reason) == ("+16024961599", "original", "no_match")
    after = service.contents()
    # The operator is told of it (test_suggestions); the pool is as it was.
    assert after.pop(next(key for key in after if key.endswith(":suggested")))
    assert after == before


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer sk_wrong", "Basic c2s6", f"bearer{ADMIN_KEY}",
     f"Bearer {ADMIN_KEY}x", "Bearer ünïcode"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/pools"), ("POST", "/pools"), ("GET", f"/attribution/{NUMBER}"),
     ("DELETE", "/pools/pool_x"), ("POST", "/pools/pool_x/numbers"), ("GET", "/webhooks")],
)  # fmt: skip
async def test_without_a_valid_bearer_key(
    service: Service, authorization: str | None, method: str, path: str
) -> None:
    """Every backend route is closed; the answer says how to open it and nothing else."""
    headers = [] if authorization is None else [(b"Authorization", authorization.encode())]

    answer = await service.http.request(method, path, headers=headers)

    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_bearer_key(service: Service) -> None:
    """A replaced key opens nothing from that moment on."""
    made = await service.app.services.access.replace_admin_key()

    assert_problem(await service.admin("GET", "/pools"), 401, "unauthorized")
    answer = await service.http.get("/pools", headers={"Authorization": f"Bearer {made}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"idle_limit": 60}, {"idle_limit_s": "60"}, {"idle_limit_s": 4}, {"idle_limit_s": 1e3},
        {"idle_limit_s": 86_401}, {"closed_browser_delay_s": -1},
        {"attribution_window_s": 259_201}, {"selection": "first"}, {"format": "E164"},
        {"country": "ZZ"}, {"country": "USA"}, {"destinations": []}, {"destinations": ["x"]},
        {"overflow_numbers": ["x"]}, {"overflow_numbers": [SHOP]}, {"allowed_origins": ["shop"]},
        {"allowed_origins": ["https://a.example/path"]}, {"paused": "perhaps"}, {"name": ""},
        {"name": "  "}, {"name": None}, {"min_size": 3, "max_size": 2},
        {"max_size": 10**18}, {"match": "all"}, {"marketing_fields": [""]},
    ],
    ids=str,
)  # fmt: skip
async def test_pools_with_wrong_settings(
    service: Service, site: Site, change: dict[str, object]
) -> None:
    """Operators' typing errors are refused, when making a pool and when editing one."""
    before = service.contents()

    made = await service.admin("POST", "/pools", {**POOL, **change})
    edited = await service.admin("PATCH", f"/pools/{site.pool_id}", change)

    assert_problem(made, 422, "invalid-request")
    assert_problem(edited, 422, "invalid-request")
    assert service.contents() == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed-json"), (b'{"name":"\xff"}', 400, "malformed-json"),
        (b"[" * 100_000, 400, "malformed-json"), (b"[]", 422, "invalid-request"),
        (b'{"name":"\\ud800","destinations":["+16023133897"]}', 422, "invalid-request"),
        (b'{"idle_limit_s":' + b"9" * 5000 + b"}", 400, "malformed-json"),
        (b'{"name":"' + b"x" * (5 * 1024 * 1024) + b'"}', 413, "body-too-large"),
    ],
    ids=["broken", "not-utf-8", "deep", "array", "surrogate", "huge-number", "5-mb"],
)  # fmt: skip
async def test_bad_bodies_of_operators(
    service: Service, body: bytes, status: int, code: str
) -> None:
    """The other half of the API keeps the same manners."""
    before = service.contents()
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}

    answer = await service.http.post("/pools", content=body, headers=headers)

    assert_problem(answer, status, code)
    assert service.contents() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"), ("GET", "/pools/", 404, "not-found"),
        ("GET", "/pools/pool_none", 404, "pool-unknown"),
        ("GET", "/pools/pool_%00", 404, "pool-unknown"),
        ("PATCH", "/pools/pool_none", 404, "pool-unknown"),
        ("DELETE", "/pools/pool_none", 404, "pool-unknown"),
        ("GET", "/pools/pool_none/numbers", 404, "pool-unknown"),
        ("GET", "/pools/pool_none/integration-code", 404, "pool-unknown"),
        ("DELETE", f"/pools/pool_none/numbers/{NUMBER}", 404, "pool-unknown"),
        ("PUT", "/pools", 405, "method-not-allowed"),
        ("DELETE", "/livez", 405, "method-not-allowed"),
        ("GET", "/tag.js", 422, "invalid-request"),
        ("GET", "/tag.js?key=pk_none", 403, "unknown-key"),
        ("GET", "/attribution/+16025550199", 404, "number-unknown"),
        ("GET", "/attribution/hello", 422, "invalid-number"),
        ("GET", "/attribution/%09%00", 422, "invalid-number"),
        ("GET", "/pools?limit=0", 422, "invalid-request"),
        ("GET", "/pools?limit=x", 422, "invalid-request"),
    ],
)  # fmt: skip
async def test_paths_and_methods(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    """What is not there is said to be not there."""
    body: dict[str, object] | None = {} if method == "PATCH" else None

    assert_problem(await service.admin(method, path, body), status, code)


async def test_five_megabytes_of_undeclared_length(service: Service) -> None:
    """A body without a declared length is counted as it comes, here too."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5 * 16):
            yield b" " * 65_536

    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}

    answer = await service.http.post("/pools", content=chunks(), headers=headers)

    assert_problem(answer, 413, "body-too-large")


async def test_a_lone_surrogate_written_as_text(service: Service, site: Site) -> None:
    """JSON can spell half a character; nothing downstream could store it."""
    body = orjson.dumps({"key": site.key, **ASSIGN})[:-1] + b',"fields":{"a":"\\udc00"}}'
    before = service.contents()

    answer = await service.http.post("/assign", content=body)

    assert_problem(answer, 400, "malformed-json")
    assert service.contents() == before


CURSORS = ["x", "²", "٣.x", "12", "18446744073709551616.x", "1.", "AA", "!", "-1"] + [
    base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    for text in [
        "² x",
        "٣ x",
        "-1 x",
        f"{2**64} x",
        "9" * 5000 + " x",
        "1",
        '["²-1","1-1"]',
        "\x00",
    ]
]


async def test_a_cursor_of_nobody_is_refused_by_every_list(service: Service, site: Site) -> None:
    """Digits of other alphabets and numbers that Redis cannot read too: never an error of ours."""
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    lists = [
        path.replace("{pool_id}", site.pool_id)
        for path, operations in paths.items()
        if any(each["name"] == "cursor" for each in operations.get("get", {}).get("parameters", []))
    ]

    answers = [
        await service.http.get(
            path,
            params={"cursor": cursor, "pool_id": site.pool_id},
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )
        for path in lists
        for cursor in CURSORS
        if "{" not in path
    ]

    assert len(lists) >= 9
    for answer in answers:
        assert_problem(answer, 422, "invalid-request")
        assert answer.json()["errors"][0]["field"].endswith("cursor")
