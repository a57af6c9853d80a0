"""The audit log: who changed what, when; no values, no secrets, nobody's data."""

import json

import pytest
import redis

from dni_allocator.domain.audit import field_names, told_of
from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.http.test_keys import get, make, run
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service

ONE, TWO = fictional(2)


async def changes(service: Service, **query: str | int) -> list[Json]:
    """What the log says, newest first."""
    answer = await service.http.get(
        "/audit", params=query, headers={"Authorization": f"Bearer {service.secret(Scope.READ)}"}
    )
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["changes"]
    return found


async def test_a_change_is_noted_with_whose_key_and_what(service: Service) -> None:
    """Field names say what was changed; the values stay where they are."""
    pool = await service.pool(ONE)
    key = await make(service, "admin")
    service.clock.advance(seconds=5)

    await service.http.patch(
        f"/pools/{pool.pool_id}", json={"paused": True, "name": "Hush"},
        headers={"Authorization": f"Bearer {key['secret']}"},
    )  # fmt: skip

    newest, *_ = await changes(service)
    assert newest == {
        "at": service.clock.iso(),
        "key_id": key["id"],
        "action": "PATCH /pools/{pool_id}",
        "about": {"pool_id": pool.pool_id},
        "changed": ["name", "paused"],
        "status": 200,
    }


async def test_what_was_made_is_named(service: Service) -> None:
    """The id of a new pool, key or endpoint is known from its answer only."""
    made = await service.admin("POST", "/webhooks", {"url": "https://a.example/"})

    newest, *_ = await changes(service)

    assert (newest["action"], newest["key_id"]) == ("POST /webhooks", "admin")
    assert newest["about"] == {"id": made.json()["id"]}


async def test_looking_and_failing_are_not_noted(service: Service) -> None:
    """The log holds changes: no reads, nothing refused, nothing that pages or backends do."""
    pool = await service.pool(ONE)
    before = await changes(service)

    await service.admin("GET", f"/pools/{pool.pool_id}")
    await service.admin("PATCH", "/pools/pool_none", {"paused": True})
    await service.admin("PATCH", f"/pools/{pool.pool_id}", {"paused": "perhaps"})
    await get(service, "/pools", "sk_wrong")
    await pool.number("ann")
    await service.admin(
        "POST", "/assign/bulk", [{"request_id": "1", "pool_id": pool.pool_id, "visitor_id": "b"}]
    )

    assert await changes(service) == before


async def test_no_number_secret_or_text_gets_into_the_log(service: Service) -> None:
    """Of a number the last four digits; of all else ids and names of fields."""
    pool = await service.pool(ONE, name="Very Private")
    secret = str((await make(service, "admin"))["secret"])
    path = f"/pools/{pool.pool_id}/numbers/{ONE}"
    await service.admin("PUT", f"{path}/quarantine", {"reason": "calls from Jane"})
    await service.admin("DELETE", path)

    kept = json.dumps(await changes(service))
    with redis.Redis.from_url(service.redis_url) as client:
        stored = str(client.xrange("dni:audit"))

    for text in (kept, stored):
        assert "0100" in text
        for private in (ONE, ONE[1:], SHOP, secret, "Very Private", "Jane"):
            assert private not in text


async def test_the_log_is_filtered_and_paged(service: Service) -> None:
    """By key, kind of change, thing and time; a cursor goes on."""
    pool, other = await service.pool(), await service.pool()
    start = service.clock.iso()
    for _ in range(3):
        service.clock.advance(seconds=60)
        await service.admin("PATCH", f"/pools/{pool.pool_id}", {"paused": True})
    await service.admin("DELETE", f"/pools/{other.pool_id}")
    auth = {"Authorization": f"Bearer {service.secret(Scope.READ)}"}

    pages = []
    query: dict[str, str | int] = {"about": pool.pool_id, "limit": 2}
    while True:
        page = (await service.http.get("/audit", params=query, headers=auth)).json()
        pages.append([change["action"] for change in page["changes"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    edit = "PATCH /pools/{pool_id}"
    # The log cannot know that nothing comes behind a full page.
    assert pages == [[edit, edit], [edit, "POST /pools"], []]
    await service.admin("DELETE", f"/pools/{pool.pool_id}")
    assert len(await changes(service, action="PATCH /pools")) == 3
    assert len(await changes(service, since=service.clock.iso(seconds_ago=60))) == 4
    assert len(await changes(service, until=start)) == 0
    assert await changes(service, key_id="key_none") == []
    bad = await service.http.get("/audit", params={"cursor": "x"}, headers=auth)
    assert_problem(bad, 422, "invalid-request")


async def test_old_entries_leave(service: Service) -> None:
    """After the days it is kept an entry is neither shown nor stored."""
    await service.pool()
    service.clock.advance(seconds=400 * 86_400)
    assert await changes(service) == []

    await service.pool()

    with redis.Redis.from_url(service.redis_url) as client:
        assert client.xlen("dni:audit") == 1
        assert client.pttl("dni:audit") > 399 * 86_400_000


async def test_a_failure_to_note_is_no_failure_to_change(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    """The change was made and is answered so; the entry stands in the log of the process."""
    pool = await service.pool()
    with redis.Redis.from_url(service.redis_url) as client:
        client.delete("dni:audit")
        client.set("dni:audit", "in the way")

    edited = await service.admin("PATCH", f"/pools/{pool.pool_id}", {"paused": True})

    with redis.Redis.from_url(service.redis_url) as client:
        client.delete("dni:audit")
    assert edited.json()["paused"] is True
    captured = capfd.readouterr()
    told = captured.out + captured.err
    assert "audit.not_written" in told
    assert pool.pool_id in told


async def test_commands_are_noted_too(service: Service) -> None:
    """A key made on the machine has a trace as well."""
    key_id, _ = run(service.redis_url, "create", "--name", "x", "--scope", "read").stdout.split()

    entries = await changes(service, key_id="cli")

    assert [(entry["action"], entry["about"]) for entry in entries] == [
        ("keys create", {"key_id": key_id})
    ]


def test_only_our_own_ids_are_told() -> None:
    """Whatever else stands in a path may be personal: a visitor's id, a number, a text."""
    told = told_of(
        {
            "a": "pool_x1",
            "b": "+16025550100",
            "c": "16025550100",
            "visitor_id": "ann_1",
            "e": "Jane",
        }
    )

    assert told == {"a": "pool_x1", "b": "…0100", "c": "…0100", "visitor_id": "…", "e": "…"}
    assert field_names({"paused": 1, "jane@example.com": 2, "+16025550100": 3}) == ("paused",)
