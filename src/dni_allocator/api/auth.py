"""Bearer keys and what they open."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dni_allocator.api.context import ServicesDep
from dni_allocator.api.errors import Forbidden
from dni_allocator.services.access import Caller, Scope

_bearer = HTTPBearer(auto_error=False, scheme_name="secretKey", description="A secret key, `sk_…`.")

BearerDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def opens(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets in callers whose key has `scope`, and says who they are.

    Raises `Unauthorized` (401) without a valid key, `Forbidden` (403) with one of other scopes.
    """

    async def check(services: ServicesDep, bearer: BearerDep) -> Caller:
        caller = await services.access.caller(None if bearer is None else bearer.credentials)
        if not caller.may(scope):
            message = f"The key lacks the scope {scope}."
            raise Forbidden(message)
        return caller

    return check
