"""Who is at the dashboard: the session cookie, and what keeps other sites from using it.

The cookie is `__Host-` (this host only, HTTPS only; browsers take loopback for secure), HttpOnly
and SameSite=Strict. A request that changes something must also come from a page of ours: browsers
say so in `Sec-Fetch-Site` (Fetch Metadata, W3C), older ones in `Origin`.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError

from dni_allocator.api.auth import Opened
from dni_allocator.api.context import Services, ServicesDep
from dni_allocator.api.errors import STATUS_OF, validation_errors
from dni_allocator.dashboard.page import HEADERS, render
from dni_allocator.domain.errors import DniError, Forbidden, Unauthorized
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.sessions import IDLE_S

COOKIE: Final = "__Host-dni"
LOGIN: Final = "/dashboard/login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who looks at a page. `operates`: may change things, too; `hears`: may see calls."""

    caller: Caller
    services: Services

    @property
    def operates(self) -> bool:
        """Whether the key opens changes."""
        return self.caller.may(Scope.ADMIN)

    @property
    def hears(self) -> bool:
        """Whether the key opens calls."""
        return self.caller.may(Scope.CALLS)


async def _viewer(request: Request, services: ServicesDep) -> Person:
    caller = await services.sessions.caller(request.cookies.get(COOKIE))
    if not caller.may(Scope.READ):
        message = "The key lacks the scope read."
        raise Forbidden(message)
    pool_id = request.path_params.get("pool_id")
    if pool_id is not None:
        caller.must_reach(pool_id)
    return Person(caller=caller, services=services)


async def _operator(request: Request, person: Annotated[Person, Depends(_viewer)]) -> Person:
    if not person.operates:
        message = "The key lacks the scope admin."
        raise Forbidden(message)
    if person.caller.pools is not None and "pool_id" not in request.path_params:
        message = "The key is limited to some pools, and this belongs to none."
        raise Forbidden(message)
    route = request.scope.get("route")
    # What `api.audited` looks for: changes made here stand in the log as those by the API do.
    request.state.opened = Opened(
        person.caller, Scope.ADMIN, getattr(route, "path", ""), request.path_params
    )
    return person


Viewer = Annotated[Person, Depends(_viewer)]
Operator = Annotated[Person, Depends(_operator)]


def in_all_pools(person: Person) -> None:
    """Raise `Forbidden` for a key that is limited to some pools: what is shown belongs to none."""
    if person.caller.pools is not None:
        message = "The key is limited to some pools, and this belongs to none."
        raise Forbidden(message)


def from_our_page(request: Request) -> bool:
    """Whether a request that changes something comes from a page of this very origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == f"{request.url.scheme}://{request.url.netloc}"


def keep(response: Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        COOKIE, token, max_age=IDLE_S, path="/", secure=True, httponly=True, samesite="strict"
    )


def forget(response: Response) -> None:
    """Take it away."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


class PageRoute(APIRoute):
    """A route that answers people: errors are pages, and every page has its headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                if request.method != "GET" and not from_our_page(request):
                    message = "The request did not come from a page of this dashboard."
                    raise Forbidden(message)
                response = await handle(request)
            except Unauthorized:
                here = request.url.path if request.method == "GET" else "/dashboard"
                response = RedirectResponse(f"{LOGIN}?next={quote(here)}", 303)
            except DniError as error:
                response = _apology(request, error)
            except (RequestValidationError, ValidationError) as error:
                response = _misunderstood(request, error)
            response.headers.update(HEADERS)
            return response

        return handled


def _apology(request: Request, error: DniError) -> Response:
    status = STATUS_OF.get(error.code)
    if status is None:
        raise error
    found = error.extra.get("errors")
    return render(
        request,
        "error.html",
        status=status,
        title=error.title,
        detail=error.detail,
        findings=found if isinstance(found, list) else [],
    )


def _misunderstood(request: Request, error: RequestValidationError | ValidationError) -> Response:
    return render(
        request,
        "error.html",
        status=422,
        title="Something in the form is not as it should be",
        detail="Nothing was changed. Go back, and mend:",
        findings=validation_errors(error.errors()),
    )
