"""Every route of the application and what opens it, walked one by one.

A route that is added without a scope fails here, and so does one that a limited key can turn
against another pool.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from dni_allocator.api.auth import Opens
from dni_allocator.app.http import ROUTES
from dni_allocator.dashboard.routes import PAGES
from dni_allocator.services.access import Scope
from tests.support.rig import fictional
from tests.support.service import Service

PUBLIC = {
    ("GET", "/livez"): "orchestrators have no key",
    ("GET", "/readyz"): "orchestrators have no key",
    ("GET", "/version"): "tells what the repository tells",
    ("GET", "/tag.js"): "takes a publishable key",
    ("GET", "/tag/{version}.js"): "the same for everybody",
    ("GET", "/tag/amp.json"): "takes a publishable key",
    ("GET", "/conversion-files/{source_id}/{file_id}.csv"): "takes the file's own token",
    ("GET", "/conversion-files/{source_id}/{file_id}/{token}.csv"): "takes the file's own token",
}
"""Routes without a secret key, and why. Vendors' webhooks are checked by their signature."""
SIGNED = re.compile(r"^/telephony/(?!vendors)")
OF_BACKENDS = {Scope.ATTRIBUTION, Scope.CALLS, Scope.ASSIGN}


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one path, and the dependency that opens it."""

    method: str
    path: str
    opens: Opens | None

    @property
    def public(self) -> bool:
        """Whether it is meant to be open without a secret key."""
        return (self.method, self.path) in PUBLIC or SIGNED.match(self.path) is not None


def doors() -> Iterator[Door]:
    """Every door of the application."""
    for room in ROUTES:
        for route in room.router.routes:
            assert isinstance(route, APIRoute), route
            found = list(_dependencies(route.dependant))
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield Door(method, route.path, found[0] if found else None)


def _dependencies(dependant: Dependant) -> Iterator[Opens]:
    return (each.call for each in _below(dependant) if isinstance(each.call, Opens))


def _below(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _below(each)


DOORS = list(doors())


def _name(door: Door) -> str:
    return f"{door.method} {door.path}"


def test_no_request_waits_for_a_thread() -> None:
    """A plain function among the dependencies would run in a thread, and queue for it twice."""
    plain = {
        f"{route.path}: {each.call}"
        for room in (*ROUTES, *PAGES)
        for route in room.router.routes
        if isinstance(route, APIRoute)
        for each in (route.dependant, *_below(route.dependant))
        if not any(
            waits(call)
            for call in (each.call, getattr(each.call, "__call__", None))  # noqa: B004 -- an object
            for waits in (iscoroutinefunction, isasyncgenfunction)
        )
    }

    assert plain == set()


def test_the_walk_sees_the_application() -> None:
    """The rules below are worth something only if there is something to look at."""
    assert len(DOORS) > 40
    assert {(door.method, door.path) for door in DOORS} >= PUBLIC.keys()


@pytest.mark.parametrize("door", DOORS, ids=_name)
def test_every_route_has_a_scope(door: Door) -> None:
    """Deny by default: no route is open because somebody forgot."""
    assert (door.opens is None) is door.public


@pytest.mark.parametrize("door", [door for door in DOORS if door.opens], ids=_name)
def test_reading_needs_read_and_changing_needs_admin(door: Door) -> None:
    """`read` opens every GET of the administration and nothing that changes anything."""
    assert door.opens is not None
    if door.opens.scope in OF_BACKENDS:
        return
    assert door.opens.scope is (Scope.READ if door.method == "GET" else Scope.ADMIN)


@pytest.mark.parametrize("door", [door for door in DOORS if "pool" in door.path], ids=_name)
def test_pools_in_a_path_are_called_pool_id(door: Door) -> None:
    """The one name by which the limit of a key finds the pool."""
    named = re.search(r"/pools/\{(\w+)\}", door.path)

    assert named is None or named[1] == "pool_id"


async def _ask(service: Service, door: Door, secret: str, *, pool_id: str) -> httpx.Response:
    path = door.path.replace("{pool_id}", pool_id)
    path = re.sub(r"\{(?:e164|number)(?::path)?\}", "+16025550100", path)
    path = re.sub(r"\{\w+(?::path)?\}", "none", path)
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return await service.http.request(door.method, path, headers=headers)


async def test_the_matrix_of_scopes(service: Service) -> None:
    """Each door, without a key and with each scope alone: it opens for its own, and for admin."""
    pool = await service.pool(*fictional(1))
    secrets = {scope: service.secret(scope) for scope in Scope}

    wrong = []
    for door in DOORS:
        if door.opens is None:
            continue
        without = await _ask(service, door, "", pool_id="pool_none")
        if without.status_code != 401:
            wrong.append(f"{_name(door)} without a key: {without.status_code}")
        for scope, secret in secrets.items():
            answer = await _ask(service, door, secret, pool_id="pool_none")
            opened = answer.status_code not in {401, 403}
            if opened is not (scope in {door.opens.scope, Scope.ADMIN}):
                wrong.append(f"{_name(door)} with {scope}: {answer.status_code}")

    assert wrong == []
    assert await pool.number("ann")


async def test_what_a_secret_key_opens_is_kept_by_no_cache(service: Service) -> None:
    """Secrets, callers and visitors stand in the answers."""
    site = await service.pool("+16025550101")

    for path in ("/pools", f"/pools/{site.pool_id}", "/webhooks", "/keys", "/calls", "/events"):
        assert (await service.admin("GET", path)).headers["cache-control"] == "no-store", path


async def test_a_limited_key_reaches_no_other_pool(service: Service) -> None:
    """With every scope and one pool: no door leads to another one, or to what belongs to none."""
    mine, other = await service.pool(), await service.pool()
    made = await service.admin(
        "POST", "/keys", {"name": "x", "scopes": list(Scope), "pools": [mine.pool_id]}
    )
    before = service.contents()

    wrong = []
    for door in DOORS:
        if door.opens is None or door.opens.within:
            continue
        answer = await _ask(service, door, made.json()["secret"], pool_id=other.pool_id)
        if answer.status_code != 403:
            wrong.append(f"{_name(door)}: {answer.status_code}")

    assert wrong == []
    assert service.contents() == before
