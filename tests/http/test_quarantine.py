"""Numbers that rest: on an operator's word, or because they draw spam calls."""

from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Json, Service, Site

ONE, TWO = fictional(2)
FAR = "2100-01-01T00:00:00Z"


def _path(site: Site, number: str, what: str = "quarantine") -> str:
    return f"/pools/{site.pool_id}/numbers/{number}/{what}"


async def _rest(site: Site, number: str, **body: object) -> Json:
    answer = await site.service.admin("PUT", _path(site, number), {"reason": "spam calls", **body})
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


async def _listed(site: Site) -> dict[str, Json]:
    answer = await site.service.admin("GET", f"/pools/{site.pool_id}/numbers")
    return {each["number"]: each for each in answer.json()["numbers"]}


async def _occupancy(site: Site) -> Json:
    answer = await site.service.admin("GET", f"/pools/{site.pool_id}")
    found: Json = answer.json()["occupancy"]
    return found


async def test_a_number_in_quarantine_is_given_to_nobody(service: Service) -> None:
    """It stays in the pool, which says why; called off, it is given again."""
    site = await service.pool(ONE)

    assert await _rest(site, ONE) == {"number": ONE, "state": "quarantined", "signals": None}

    assert await site.number("ann") == SHOP
    row = (await _listed(site))[ONE]
    assert row["state"] == "quarantined"
    assert isinstance(row["quarantine"], dict)
    assert (row["quarantine"]["reason"], row["quarantine"]["until"]) == ("spam calls", None)
    occupancy = await _occupancy(site)
    assert (occupancy["numbers"], occupancy["free"], occupancy["quarantined"]) == (1, 0, 1)

    off = await service.admin("DELETE", _path(site, ONE))
    assert off.json() == {"number": ONE, "state": "acquitted", "signals": None}
    assert await site.number("ann") == ONE
    assert (await _listed(site))[ONE]["quarantine"] is None


async def test_twice_is_once(service: Service) -> None:
    """The last reason and end are the ones in force; nothing to call off is no error."""
    site = await service.pool(ONE)
    await _rest(site, ONE)

    await _rest(site, ONE, reason="vendor says so", until=FAR)

    told = (await _listed(site))[ONE]["quarantine"]
    assert isinstance(told, dict)
    assert (told["reason"], told["until"]) == ("vendor says so", FAR)
    for state in ("acquitted", "free"):
        off = await service.admin("DELETE", _path(site, ONE))
        assert off.json()["state"] == state


async def test_who_holds_the_number_keeps_it(service: Service) -> None:
    """A visitor sees no number vanish; when the lease ends, the number rests."""
    site = await service.pool(ONE)
    await site.number("ann")

    assert (await _rest(site, ONE))["state"] == "at_end"

    assert await site.number("ann") == ONE
    assert (await _listed(site))[ONE]["state"] == "quarantined"
    service.clock.advance(seconds=300)
    assert await site.number("bob") == SHOP
    assert await site.number("ann") == SHOP
    assert (await service.attribution(ONE))["visitor_id"] == "ann"


async def test_a_quarantine_ends_by_itself(service: Service) -> None:
    """At its hour, with the next sweep."""
    site = await service.pool(ONE)
    await _rest(site, ONE, until=service.clock.iso(seconds_ago=-3600))

    service.clock.advance(ms=3_599_999)
    await service.app.sweeper().sweep_once()
    assert await site.number("ann") == SHOP
    service.clock.advance(ms=1)
    await service.app.sweeper().sweep_once()

    assert await site.number("ann") == ONE


async def test_enough_signs_of_spam(service: Service) -> None:
    """The pool says how many within an hour; each number has its own count."""
    site = await service.pool(ONE, TWO, spam_signals=2)

    async def sign(number: str) -> Json:
        answer = await service.admin("POST", _path(site, number, "spam"))
        told: Json = answer.json()
        return told

    assert await sign(ONE) == {"number": ONE, "state": "counted", "signals": 1}
    assert (await sign(TWO))["state"] == "counted"
    assert await sign(ONE) == {"number": ONE, "state": "quarantined", "signals": 2}

    told = (await _listed(site))[ONE]["quarantine"]
    assert isinstance(told, dict)
    assert told["reason"] == "spam"
    assert told["until"]
    assert [await site.number("ann"), await site.number("bob")] == [TWO, SHOP]


async def test_no_number_of_signs_is_enough_where_they_are_off(service: Service) -> None:
    """Zero: an operator who wants to decide alone."""
    site = await service.pool(ONE, spam_signals=0)

    for _ in range(5):
        answer = await service.admin("POST", _path(site, ONE, "spam"))
        assert answer.json()["state"] == "counted"

    assert await site.number("ann") == ONE


async def test_bad_quarantines(service: Service) -> None:
    """No reason, an end in the past or without offset, unknown numbers: nothing is written."""
    site = await service.pool(ONE)
    before = service.contents()
    good = {"reason": "spam"}

    for body in ({}, {"reason": " "}, {"reason": "x" * 201}, {**good, "until": "soon"},
                 {**good, "until": "2020-01-01T00:00:00Z"},
                 {**good, "until": "2100-01-01T00:00:00"}, {**good, "by": "me"}):  # fmt: skip
        answer = await service.admin("PUT", _path(site, ONE), body)
        assert_problem(answer, 422, "invalid-request")
    for method, what, sent in (("PUT", "quarantine", good), ("DELETE", "quarantine", None),
                               ("POST", "spam", None)):  # fmt: skip
        unknown = await service.admin(method, _path(site, TWO, what), sent)
        assert_problem(unknown, 404, "number-unknown")
        nonsense = await service.admin(method, _path(site, "nonsense", what), sent)
        assert_problem(nonsense, 422, "invalid-number")
        nowhere = Site(service, pool_id="pool_nobody", key="")
        assert_problem(
            await service.admin(method, _path(nowhere, ONE, what), sent), 404, "pool-unknown"
        )
        reading = f"Bearer {service.secret(Scope.READ)}"
        refused = await service.admin(method, _path(site, ONE, what), sent, Authorization=reading)
        assert_problem(refused, 403, "forbidden")
    after = service.contents()
    # The key of the scope test is in the store, nothing else is new.
    assert {name: value for name, value in after.items() if name != "dni:admin-keys"} == {
        name: value for name, value in before.items() if name != "dni:admin-keys"
    }
