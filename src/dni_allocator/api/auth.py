"""Bearer keys and what they open: scopes, and the pools a key is limited to.

Every route but the public ones depends on `opens(…)`; a test walks them all. A key that is limited
to some pools opens, by default, only routes whose path names one of them (`{pool_id}`). A route
that finds its pool otherwise says `within=True`, takes the `Caller`, and asks it; until it does, it
is closed to such keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dni_allocator.api.context import ServicesDep
from dni_allocator.domain.errors import Forbidden
from dni_allocator.services.access import Caller, Scope

_bearer = HTTPBearer(auto_error=False, scheme_name="secretKey", description="A secret key, `sk_…`.")

BearerDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that was let in: by whom, for which scope, to which route, naming what."""

    caller: Caller
    scope: Scope
    route: str
    named: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Opens:
    """The dependency itself; see `opens`."""

    scope: Scope
    within: bool

    async def __call__(
        self, request: Request, services: ServicesDep, bearer: BearerDep, response: Response
    ) -> Caller:
        """Let the caller in, or raise. What they are told is kept by no cache."""
        response.headers["Cache-Control"] = "no-store"
        caller = await services.access.caller(None if bearer is None else bearer.credentials)
        if not caller.may(self.scope):
            message = f"The key lacks the scope {self.scope}."
            raise Forbidden(message)
        named = request.path_params.get("pool_id")
        if named is not None:
            caller.must_reach(named)
        elif caller.pools is not None and not self.within:
            message = "The key is limited to some pools, and this belongs to none."
            raise Forbidden(message)
        route = request.scope.get("route")
        request.state.opened = Opened(
            caller, self.scope, getattr(route, "path", ""), request.path_params
        )
        return caller


def opens(scope: Scope, *, within: bool = False) -> Opens:
    """A dependency that lets in callers whose key has `scope`, and says who they are.

    `within`: the route asks the caller itself which pools it may touch. Raises `Unauthorized`
    (401) without a valid key, `Forbidden` (403) with one of other scopes or pools.
    """
    return Opens(scope, within)
