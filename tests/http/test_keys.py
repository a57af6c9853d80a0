"""Secret keys: scopes, limits to pools, rotation with overlap, revoked at once everywhere."""

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.test_bad_input import assert_problem
from tests.support.clock import ManualClock
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, Json, Service, Site, serving

ONE, TWO = fictional(2)


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[Service, Service]]:
    """Two processes under one clock."""
    clock = ManualClock()
    async with serving(redis_url, clock=clock) as first, serving(redis_url, clock=clock) as second:
        yield first, second


async def make(service: Service, *scopes: str, **more: object) -> Json:
    """A new key, as the answer shows it."""
    answer = await service.admin("POST", "/keys", {"name": "Test", "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


async def get(service: Service, path: str, secret: object) -> httpx.Response:
    """Read with a key."""
    return await service.http.get(path, headers={"Authorization": f"Bearer {secret}"})


async def test_a_key_opens_its_scopes_and_no_more(service: Service) -> None:
    """Least privilege: what a backend does not need, its key does not open."""
    key = await make(service, "read")

    assert (await get(service, "/pools", key["secret"])).status_code == 200
    assert_problem(await get(service, f"/attribution/{ONE}", key["secret"]), 403, "forbidden")


async def test_keys_are_listed_by_prefix_and_kept_as_hashes(service: Service) -> None:
    """The secret is shown once; neither the list nor the store has it."""
    key = await make(service, "read", "calls")

    listed = (await service.admin("GET", "/keys")).json()["keys"]

    assert [each["id"] for each in listed] == ["admin", key["id"]]
    assert listed[1] == {name: value for name, value in key.items() if name != "secret"}
    assert str(key["secret"]).startswith(str(listed[1]["prefix"]))
    assert len(listed[1]["prefix"]) == 11
    stored = service.contents()["dni:admin-keys"]
    assert str(key["secret"]) not in str(stored)
    assert hashlib.sha256(str(key["secret"]).encode()).hexdigest() in stored
    assert ADMIN_KEY[:6] not in str(stored) + str(listed)


async def test_an_edit_holds_with_the_next_request(pair: tuple[Service, Service]) -> None:
    """Scopes taken away in one process are gone in the other."""
    here, there = pair
    key = await make(here, "read")
    assert (await get(there, "/pools", key["secret"])).status_code == 200

    edited = await here.admin("PATCH", f"/keys/{key['id']}", {"scopes": ["calls"]})

    assert edited.json()["scopes"] == ["calls"]
    assert_problem(await get(there, "/pools", key["secret"]), 403, "forbidden")


async def test_a_revoked_key_opens_nothing_anywhere(pair: tuple[Service, Service]) -> None:
    """At once: no process remembers keys."""
    here, there = pair
    key = await make(here, "read")
    assert (await get(there, "/pools", key["secret"])).status_code == 200

    assert (await here.admin("DELETE", f"/keys/{key['id']}")).status_code == 204

    assert_problem(await get(there, "/pools", key["secret"]), 401, "unauthorized")
    assert_problem(await here.admin("GET", f"/keys/{key['id']}"), 404, "secret-key-unknown")


async def test_a_rotated_key_works_on_for_its_overlap(service: Service) -> None:
    """Clients are moved one by one: both secrets open it, until the time is over."""
    key = await make(service, "read")

    rotated = (await service.admin("POST", f"/keys/{key['id']}/rotate", {"overlap_s": 3600})).json()

    assert rotated["id"] == key["id"]
    assert [old["prefix"] for old in rotated["old"]] == [key["prefix"]]
    service.clock.advance(seconds=3599)
    assert (await get(service, "/pools", key["secret"])).status_code == 200
    service.clock.advance(seconds=1)
    assert_problem(await get(service, "/pools", key["secret"]), 401, "unauthorized")
    assert (await get(service, "/pools", rotated["secret"])).status_code == 200
    assert (await service.admin("GET", f"/keys/{key['id']}")).json()["old"] == []


async def test_a_rotation_without_overlap_ends_the_old_secret(service: Service) -> None:
    """After a leak there is no grace, also not for secrets that were replaced before."""
    key = await make(service, "read")
    path = f"/keys/{key['id']}/rotate"
    second = (await service.admin("POST", path, {"overlap_s": 3600})).json()

    third = (await service.admin("POST", path, {"overlap_s": 0})).json()

    for secret in (key["secret"], second["secret"]):
        assert_problem(await get(service, "/pools", secret), 401, "unauthorized")
    assert (await get(service, "/pools", third["secret"])).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")])
async def test_the_admin_key_is_not_edited_like_others(
    service: Service, method: str, path: str
) -> None:
    """Nobody locks everybody out by a slip; the answer says how it is replaced."""
    body = {"name": "x"} if method == "PATCH" else None

    answer = await service.admin(method, f"/keys/admin{path}", body)

    assert_problem(answer, 409, "key-protected")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "pools": []},
        {"name": "x", "scopes": ["read"], "pools": ["pool_none"]},
        {"name": "x", "scopes": ["read"], "secret": "mine"},
    ],
)
async def test_a_bad_key_is_not_made(service: Service, body: Json) -> None:
    """An empty limit would read as none, and a pool that is not there as a typing error."""
    before = service.contents()

    assert_problem(await service.admin("POST", "/keys", body), 422, "invalid-request")

    assert service.contents() == before


# --- limits to pools ------------------------------------------------------------------------------


async def _two(service: Service) -> tuple[Site, Site]:
    return await service.pool(ONE), await service.pool(TWO)


async def test_a_limited_key_sees_its_pools_only(service: Service) -> None:
    """An agency's client reads their own campaign, and learns nothing of the others."""
    mine, other = await _two(service)
    secret = (await make(service, "admin", pools=[mine.pool_id]))["secret"]

    listed = (await get(service, "/pools", secret)).json()["pools"]

    assert [pool["id"] for pool in listed] == [mine.pool_id]
    assert (await get(service, f"/pools/{mine.pool_id}/numbers", secret)).status_code == 200
    assert_problem(await get(service, f"/pools/{other.pool_id}", secret), 403, "forbidden")
    assert_problem(await get(service, f"/pools/{other.pool_id}/numbers", secret), 403, "forbidden")
    for path in ("/sites", "/webhooks", "/keys", "/metrics"):
        assert_problem(await get(service, path, secret), 403, "forbidden")


async def test_a_limited_key_asks_about_its_numbers_only(service: Service) -> None:
    """A number of another pool is answered as one that nobody has."""
    mine, other = await _two(service)
    secret = (await make(service, "attribution", pools=[mine.pool_id]))["secret"]
    await mine.number("ann")
    await other.number("ann")

    assert (await get(service, f"/attribution/{ONE}", secret)).json()["visitor_id"] == "ann"
    hidden = await get(service, f"/attribution/{TWO}", secret)
    nobody = await get(service, "/attribution/+16025550177", secret)
    assert_problem(hidden, 404, "number-unknown")
    assert hidden.json() == nobody.json()


async def test_a_limited_key_takes_no_call_from_another_pool(service: Service) -> None:
    """A provider's name for a call of another pool goes on standing for that call."""
    mine, _ = await _two(service)
    secret = (await make(service, "calls", pools=[mine.pool_id]))["secret"]
    named = {"provider": "carrier", "provider_call_id": "c-1"}
    theirs = (await service.admin("POST", "/calls", {"number": TWO, **named})).json()["id"]

    recorded = await service.http.post(
        "/calls", json={"number": ONE, **named}, headers={"Authorization": f"Bearer {secret}"}
    )

    again = await service.admin("POST", "/calls", {"number": TWO, **named})
    assert recorded.status_code == 201
    assert recorded.json()["id"] != theirs
    assert (again.status_code, again.json()["id"]) == (200, theirs)


async def test_a_limited_key_assigns_from_its_pools_only(service: Service) -> None:
    """By id, by key, and by the key of a site that has another pool too."""
    mine, other = await _two(service)
    site = await service.admin(
        "POST", "/sites", {"name": "Both", "pools": [mine.pool_id, other.pool_id]}
    )
    secret = (await make(service, "assign", pools=[mine.pool_id]))["secret"]
    rows: list[Json] = [
        {"request_id": "1", "pool_id": mine.pool_id},
        {"request_id": "2", "key": mine.key},
        {"request_id": "3", "pool_id": other.pool_id},
        {"request_id": "4", "key": other.key},
        {"request_id": "5", "key": site.json()["key"]},
    ]

    answer = await service.http.post(
        "/assign/bulk",
        json=[{**row, "visitor_id": "ann", "user_agent": "Mozilla/5.0"} for row in rows],
        headers={"Authorization": f"Bearer {secret}"},
    )

    codes = [(row["problem"] or {}).get("code") for row in answer.json()["results"]]
    assert codes == [None, None, "forbidden", "forbidden", "forbidden"]


async def test_a_limited_key_reads_events_of_its_pools_only(service: Service) -> None:
    """Asked for all or for another pool, it is given its own or refused."""
    mine, other = await _two(service)
    secret = (await make(service, "read", pools=[mine.pool_id]))["secret"]
    await mine.number("ann")
    await other.number("bob")

    events = (await get(service, "/events", secret)).json()["events"]

    assert {event["data"]["pool_id"] for event in events} == {mine.pool_id}
    assert_problem(await get(service, f"/events?pool={other.pool_id}", secret), 403, "forbidden")


async def test_the_limit_can_be_lifted(service: Service) -> None:
    """By null; a key that leaves `pools` out of the edit keeps its limit."""
    mine, other = await _two(service)
    key = await make(service, "read", pools=[mine.pool_id])

    renamed = await service.admin("PATCH", f"/keys/{key['id']}", {"name": "New"})
    lifted = await service.admin("PATCH", f"/keys/{key['id']}", {"pools": None})

    assert renamed.json()["pools"] == [mine.pool_id]
    assert lifted.json()["pools"] is None
    assert (await get(service, f"/pools/{other.pool_id}", key["secret"])).status_code == 200


async def test_webhook_secrets_are_for_admins(service: Service) -> None:
    """Who may look must not be able to forge deliveries."""
    made = await service.admin(
        "POST", "/webhooks", {"url": "https://a.example/", "headers": {"x-token": "hush"}}
    )
    secret = (await make(service, "read"))["secret"]

    seen = (await get(service, f"/webhooks/{made.json()['id']}", secret)).json()

    assert (seen["secret"], seen["headers"]) == (None, {"x-token": ""})
    own = (await service.admin("GET", f"/webhooks/{made.json()['id']}")).json()
    assert (own["secret"], own["headers"]) == (made.json()["secret"], {"x-token": "hush"})


# --- publishable keys -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pool", "site"])
async def test_a_replaced_publishable_key_works_on_for_its_overlap(
    service: Service, kind: str
) -> None:
    """Pages in caches show the old key for a while: their visitors keep their numbers."""
    pool = await service.pool(ONE)
    path, old = f"/pools/{pool.pool_id}", pool.key
    if kind == "site":
        made = await service.admin("POST", "/sites", {"name": "x", "pools": [pool.pool_id]})
        path, old = f"/sites/{made.json()['id']}", made.json()["key"]
    cached = Site(service, pool_id=pool.pool_id, key=old)
    assert await cached.number("ann") == ONE

    rotated = await service.admin("POST", f"{path}/rotate-key", {"overlap_s": 3600})

    fresh = Site(service, pool_id=pool.pool_id, key=rotated.json()["key"])
    assert fresh.key != old
    assert await cached.number("ann") == ONE
    assert await fresh.number("ann") == ONE
    assert (await cached.heartbeat("ann"))["expires_in_s"]
    if kind == "pool":
        service.clock.advance(seconds=3600)
        assert_problem(await cached.ask("ann"), 403, "unknown-key")
        assert await fresh.number("ann") == ONE


@pytest.mark.parametrize("kind", ["pool", "site"])
async def test_a_publishable_key_replaced_at_once_opens_nothing_anywhere(
    pair: tuple[Service, Service], kind: str
) -> None:
    """A process that remembers the old key is told by the pool's revision."""
    here, there = pair
    pool = await here.pool(ONE)
    path, old = f"/pools/{pool.pool_id}", pool.key
    if kind == "site":
        made = await here.admin("POST", "/sites", {"name": "x", "pools": [pool.pool_id]})
        path, old = f"/sites/{made.json()['id']}", made.json()["key"]
    cached = Site(there, pool_id=pool.pool_id, key=old)
    assert await cached.number("ann") == ONE
    kept = await here.admin("POST", f"{path}/rotate-key", {"overlap_s": 3600})
    assert await cached.number("ann") == ONE

    rotated = await here.admin("POST", f"{path}/rotate-key", {"overlap_s": 0})

    stale = Site(there, pool_id=pool.pool_id, key=kept.json()["key"])
    assert_problem(await stale.ask("ann"), 403, "unknown-key")
    # The one before has its own time.
    assert await cached.number("ann") == ONE
    assert [each["key"] for each in rotated.json()["old_keys"]] == [old]
    fresh = Site(there, pool_id=pool.pool_id, key=rotated.json()["key"])
    assert await fresh.number("ann") == ONE


async def test_a_deleted_pool_takes_its_replaced_keys_along(service: Service) -> None:
    """Nothing is left in the directory that points to nowhere."""
    pool = await service.pool(ONE)
    await service.admin("POST", f"/pools/{pool.pool_id}/rotate-key")

    await service.admin("DELETE", f"/pools/{pool.pool_id}")

    assert [name for name in service.contents() if name.startswith("dni:key:")] == []


# --- on the command line --------------------------------------------------------------------------


def run(redis_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, as an operator runs it beside the service."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DNI_")}
    return subprocess.run(
        [sys.executable, "-m", "dni_allocator", "keys", *arguments],
        env=environment | {"DNI_REDIS_URL": redis_url, "DNI_SHARDS": "4"},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_keys_are_made_and_revoked_without_an_admin_key_at_hand(
    service: Service,
) -> None:
    """Whoever has the machine has the keys: made, listed, rotated and revoked there."""
    key_id, secret = run(
        service.redis_url, "create", "--name", "Backend", "--scope", "read"
    ).stdout.split()
    assert (await get(service, "/pools", secret)).status_code == 200
    _, second = run(service.redis_url, "rotate", key_id, "--overlap", "0").stdout.split()
    assert_problem(await get(service, "/pools", secret), 401, "unauthorized")

    listed = run(service.redis_url, "list").stdout
    revoked = run(service.redis_url, "revoke", key_id)
    unknown = run(service.redis_url, "revoke", key_id)

    assert f"{key_id}  {second[:11]}  read  all pools  Backend" in listed
    assert second not in listed
    assert revoked.returncode == 0
    assert_problem(await get(service, "/pools", second), 401, "unauthorized")
    assert (unknown.returncode, unknown.stderr.count("There is no secret key")) == (2, 1)


def test_a_scope_nobody_knows_is_refused(redis_url: str) -> None:
    """The message names those there are."""
    refused = run(redis_url, "create", "--name", "x", "--scope", "root")

    assert refused.returncode == 2
    assert "attribution" in refused.stderr
