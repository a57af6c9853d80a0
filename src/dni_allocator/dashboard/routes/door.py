"""Signing in and out, and the files every page loads."""

from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dni_allocator.api.context import ServicesDep
from dni_allocator.dashboard.access import COOKIE, LOGIN, PageRoute, forget, keep
from dni_allocator.dashboard.page import render
from dni_allocator.domain.errors import Unauthorized

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

_STATIC: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
}


NextPage = Annotated[str, Query(alias="next", max_length=200)]


@router.get("/login")
async def login_page(request: Request, next_page: NextPage = "") -> Response:
    """Ask for a key."""
    return render(request, "login.html", next_page=_ours(next_page), wrong=False)


@router.post("/login")
async def login(
    request: Request,
    services: ServicesDep,
    secret: Annotated[str, Form(max_length=200)],
    next_page: Annotated[str, Form(alias="next", max_length=200)] = "",
) -> Response:
    """Take a key, begin a session."""
    try:
        token = await services.sessions.begin(secret.strip())
    except Unauthorized:
        return render(request, "login.html", status=401, next_page=_ours(next_page), wrong=True)
    answer = RedirectResponse(_ours(next_page), 303)
    keep(answer, token)
    return answer


@router.post("/logout")
async def logout(request: Request, services: ServicesDep) -> Response:
    """End the session here and in the store."""
    token = request.cookies.get(COOKIE)
    if token:
        await services.sessions.end(token)
    answer = RedirectResponse(LOGIN, 303)
    forget(answer)
    return answer


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Serve style and script."""
    if name not in _STATIC:
        return Response(status_code=404)
    body = resources.files("dni_allocator.dashboard").joinpath("static", name).read_bytes()
    return Response(body, media_type=_STATIC[name])


def _ours(path: str) -> str:
    """Where to go on: a page of the dashboard, never another site."""
    return path if path.startswith("/dashboard") and not path.startswith(LOGIN) else "/dashboard"
