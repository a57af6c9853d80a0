"""Pools and their numbers, as an operator handles them."""

import asyncio

import pytest

from dni_allocator.domain.errors import EditConflict
from dni_allocator.store import keys
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL, SHOP, Service

ONE, TWO, THREE = fictional(3)
SHARED = "+18005550100"


async def test_a_pool_is_made_read_edited_and_deleted(service: Service) -> None:
    """The life of a pool; the documented defaults; what an edit does not name stays."""
    made = await service.admin("POST", "/pools", {**POOL, "campaign": "spring"})
    pool = made.json()
    path = f"/pools/{pool['id']}"

    assert made.status_code == 201
    assert made.headers["location"] == path
    assert pool["key"].startswith("pk_")
    assert (pool["idle_limit_s"], pool["closed_browser_delay_s"]) == (300, 30)
    assert pool["attribution_window_s"] == 259_200
    assert pool["selection"] == "least_recently_released"

    edited = (await service.admin("PATCH", path, {"idle_limit_s": 60})).json()
    assert (edited["idle_limit_s"], edited["campaign"], edited["revision"]) == (60, "spring", 2)

    read = (await service.admin("GET", path)).json()
    assert read.pop("occupancy") == {
        "numbers": 0, "leased": 0, "free": 0, "quarantined": 0, "totals": {},
    }  # fmt: skip
    assert {**edited, "occupancy": None} == {**read, "occupancy": None}

    assert (await service.admin("DELETE", path)).status_code == 204
    assert_problem(await service.admin("GET", path), 404, "pool-unknown")
    assert not [name for name in service.contents() if pool["id"] in name or pool["key"] in name]


async def test_an_edit_can_set_a_field_to_nothing(service: Service) -> None:
    """RFC 7396: null empties what may be empty."""
    site = await service.pool(campaign="spring", max_size=3)

    edited = await service.admin(
        "PATCH", f"/pools/{site.pool_id}", {"campaign": None, "max_size": None}
    )

    assert (edited.json()["campaign"], edited.json()["max_size"]) == (None, None)


async def test_edits_that_cross_do_not_overwrite_each_other(service: Service) -> None:
    """Two operators at once: both settings are in force, or one is told."""
    site = await service.pool()
    path = f"/pools/{site.pool_id}"

    answers = await asyncio.gather(
        *(service.admin("PATCH", path, {"idle_limit_s": 10 + n}) for n in range(5)),
        *(service.admin("PATCH", path, {"campaign": f"c{n}"}) for n in range(5)),
    )

    good = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer.status_code != 200:
            assert_problem(answer, 409, "edit-conflict")
    assert good
    final = (await service.admin("GET", path)).json()
    assert final["revision"] == 1 + len(good)


async def test_an_edit_from_an_old_reading_is_a_conflict(service: Service) -> None:
    """The revision that was read is compared when it is written."""
    site = await service.pool()
    seen = await service.app.services.pools.read(site.pool_id)
    await service.admin("PATCH", f"/pools/{site.pool_id}", {"campaign": "first"})

    with pytest.raises(EditConflict):
        await service.app.services.pools.edit(seen, seen.settings)


async def test_a_pool_in_use_is_deleted_only_by_force(service: Service) -> None:
    """Visitors hold its numbers; by force they lose them, and the numbers are free for others."""
    site = await service.pool(ONE)
    await site.view("v")
    path = f"/pools/{site.pool_id}"

    refused = await service.admin("DELETE", path)
    assert_problem(refused, 409, "pool-in-use")
    assert refused.json()["live_leases"] == 1

    assert (await service.admin("DELETE", f"{path}?force=true")).status_code == 204
    assert_problem(await service.tag("/assign", {"key": site.key}), 403, "unknown-key")
    other = await service.pool(ONE)
    assert await other.number("v") == ONE


async def test_pools_are_listed_a_page_at_a_time(service: Service) -> None:
    """Cursors lead through all pools, each once."""
    made = {(await service.pool(name=f"pool {n}")).pool_id for n in range(5)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await service.admin("GET", f"/pools?limit=2{more}")).json()
        seen += [pool["id"] for pool in page["pools"]]
        cursor = page["next_cursor"]

    assert sorted(seen) == sorted(made)


async def test_good_rows_are_attached_and_bad_ones_reported(service: Service) -> None:
    """Each bad row with its place and reason; E.164 and national forms are both fine."""
    site = await service.pool()
    other = await service.pool(THREE)
    path = f"/pools/{site.pool_id}/numbers"
    rows = [ONE, "(602) 555-0101", "nope", "+442079460001", SHOP, ONE, THREE,
            {"number": "+16025550103", "rate_centre": "PHOENIX", "latitude": 33.4}]  # fmt: skip

    answer = await service.admin("POST", path, {"numbers": rows})

    assert answer.status_code == 200
    assert answer.json()["numbers"] == [ONE, TWO, "+16025550103"]
    assert [(row["position"], row["code"]) for row in answer.json()["rejected"]] == [
        (2, "invalid-number"), (3, "wrong-country"), (4, "number-is-destination"),
        (5, "duplicate"), (6, "number-taken"),
    ]  # fmt: skip
    listed = (await service.admin("GET", path)).json()["numbers"]
    assert {each["number"]: each["facts"] for each in listed} == {
        ONE: {}, TWO: {}, "+16025550103": {"rate_centre": "PHOENIX", "latitude": 33.4},
    }  # fmt: skip
    assert other.pool_id != site.pool_id


async def test_all_or_nothing(service: Service) -> None:
    """One bad row, and not even a claim in the directory is left behind."""
    site = await service.pool()
    await service.pool(THREE)
    path = f"/pools/{site.pool_id}/numbers"
    before = service.contents()

    for bad, status, code in (("nope", 422, "numbers-rejected"), (THREE, 409, "number-taken")):
        body = {"numbers": [ONE, bad], "all_or_nothing": True}
        refused = await service.admin("POST", path, body)

        assert_problem(refused, status, code)
        assert refused.json()["attached"] == 0
        assert refused.json()["rejected"][0]["position"] == 1
        assert service.contents() == before


async def test_a_number_of_another_pool_is_409(service: Service) -> None:
    """In whatever role the other pool has it."""
    await service.pool(ONE, overflow_numbers=[SHARED])
    site = await service.pool(name="second")

    for number in (ONE, SHARED):
        refused = await service.admin(
            "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [number]}
        )
        assert_problem(refused, 409, "number-taken")


async def test_attaching_again_changes_nothing(service: Service) -> None:
    """A repeated attach is fine: the answer is the same and so is the inventory."""
    site = await service.pool(ONE)
    await site.view("v")
    before = service.contents()

    again = await service.admin("POST", f"/pools/{site.pool_id}/numbers", {"numbers": [ONE]})

    assert again.json() == {"attached": 1, "numbers": [ONE], "rejected": []}
    # But for the log, which has every request that was carried out.
    assert {**service.contents(), keys.AUDIT: before[keys.AUDIT]} == before


async def test_csv(service: Service) -> None:
    """A spreadsheet's export, with its byte order mark and its empty cells."""
    site = await service.pool()
    table = "\ufeffnumber,label,latitude\r\n+16025550100,front desk,33.4\r\n602-555-0101,,\r\n"

    answer = await service.http.post(
        f"/pools/{site.pool_id}/numbers?all_or_nothing=true",
        content=table.encode(),
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
    )

    assert answer.json()["numbers"] == [ONE, TWO]
    listed = (await service.admin("GET", f"/pools/{site.pool_id}/numbers")).json()["numbers"]
    facts = {each["number"]: each["facts"] for each in listed}
    assert facts == {ONE: {"label": "front desk", "latitude": 33.4}, TWO: {}}


@pytest.mark.parametrize(
    ("table", "status", "code"),
    [
        (b"\xff\xfe\x00", 400, "malformed-json"), (b"", 422, "invalid-request"),
        (b"phone\n+16025550100\n", 422, "invalid-request"),
        (b"number,colour\n+16025550100,red\n", 422, "invalid-request"),
        (b"number\n+16025550100,extra\n", 422, "invalid-request"),
        (b"number,latitude\n+16025550100,north\n", 422, "invalid-request"),
        (b"number,label\n+16025550100," + b"x" * 200_000 + b"\n", 400, "malformed-json"),
    ],
    ids=["not-utf-8", "empty", "no-number", "unknown-column", "extra-cell", "bad-latitude", "huge"],
)  # fmt: skip
async def test_bad_csv(service: Service, table: bytes, status: int, code: str) -> None:
    """Nothing of a table that cannot be read is attached."""
    site = await service.pool()
    before = service.contents()

    answer = await service.http.post(
        f"/pools/{site.pool_id}/numbers",
        content=table,
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
    )

    assert_problem(answer, status, code)
    assert service.contents() == before


@pytest.mark.parametrize(
    "body",
    [
        {"numbers": []}, {"numbers": "x"}, {"numbers": [1]}, {"numbers": [None]}, {},
        {"numbers": [ONE], "all": True}, {"numbers": [{"number": ONE, "colour": "red"}]},
        {"numbers": [{"number": ONE, "latitude": 91}]}, {"numbers": ["1" * 41]},
    ],
    ids=str,
)  # fmt: skip
async def test_attaches_of_a_wrong_shape(service: Service, body: dict[str, object]) -> None:
    """A body that is not an attach attaches nothing."""
    site = await service.pool()
    before = service.contents()

    answer = await service.admin("POST", f"/pools/{site.pool_id}/numbers", body)

    assert_problem(answer, 422, "invalid-request")
    assert service.contents() == before


async def test_a_full_pool_takes_no_more(service: Service) -> None:
    """max_size holds whatever is attached; what is there already needs no room."""
    site = await service.pool(ONE, max_size=2)

    answer = await service.admin(
        "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [ONE, TWO, THREE]}
    )

    assert answer.json()["numbers"] == [ONE, TWO]
    assert [row["code"] for row in answer.json()["rejected"]] == ["pool-full"]


async def test_the_pools_type_of_number(service: Service) -> None:
    """A toll-free pool takes toll-free numbers only."""
    site = await service.pool(number_type="toll_free")

    answer = await service.admin(
        "POST", f"/pools/{site.pool_id}/numbers", {"numbers": [ONE, SHARED]}
    )

    assert answer.json()["numbers"] == [SHARED]
    assert [row["code"] for row in answer.json()["rejected"]] == ["wrong-type"]


async def test_numbers_are_detached_at_once_or_after_their_lease(service: Service) -> None:
    """Free: at once. Leased: when the visitor is done, or now by force."""
    site = await service.pool(ONE, TWO)
    leased = await site.number("v")
    free = TWO if leased == ONE else ONE
    path = f"/pools/{site.pool_id}/numbers"

    at_once = await service.admin("DELETE", f"{path}/{free}")
    later = await service.admin("DELETE", f"{path}/{leased}")
    listed = (await service.admin("GET", path)).json()["numbers"]
    forced = await service.admin("DELETE", f"{path}/{leased}?force=true")
    absent = await service.admin("DELETE", f"{path}/{leased}")

    assert at_once.json() == {"number": free, "state": "detached"}
    assert later.json() == {"number": leased, "state": "draining"}
    assert [each["state"] for each in listed] == ["draining"]
    assert forced.json()["state"] == "detached"
    assert_problem(absent, 404, "number-unknown")


async def test_overflow_numbers_are_claimed_and_given_back(service: Service) -> None:
    """A shared number belongs to one pool at a time, like any other."""
    first = await service.pool(overflow_numbers=[SHARED])

    refused = await service.admin(
        "POST", "/pools", {**POOL, "overflow_numbers": ["+18005550101", SHARED]}
    )
    assert_problem(refused, 409, "number-taken")
    assert refused.json()["pool_id"] == first.pool_id
    assert len((await service.admin("GET", "/pools")).json()["pools"]) == 1

    edit = {"overflow_numbers": ["+18005550101"]}
    assert (await service.admin("PATCH", f"/pools/{first.pool_id}", edit)).status_code == 200
    second = await service.pool(overflow_numbers=[SHARED])
    assert await second.number("v") == SHARED


async def test_an_own_number_cannot_become_a_destination(service: Service) -> None:
    """A pool that routes calls to one of its own numbers would call itself."""
    site = await service.pool(ONE)

    refused = await service.admin("PATCH", f"/pools/{site.pool_id}", {"destinations": [ONE]})

    assert_problem(refused, 422, "invalid-request")
