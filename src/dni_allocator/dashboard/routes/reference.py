"""The API for people to read: `/docs`, drawn from the description, without a key."""

from typing import cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from dni_allocator.dashboard.access import PageRoute
from dni_allocator.dashboard.page import text_of
from dni_allocator.dashboard.reference import Reference

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/docs")
def reference(request: Request) -> Response:
    """Every operation and every shape on one page; drawn once for a process.

    In a thread: to gather the description takes a second of a page's time.
    """
    app = cast("FastAPI", request.app)
    drawn: str | None = getattr(app.state, "reference", None)
    if drawn is None:
        drawn = text_of(request, "reference.html", reference=Reference.of(app.openapi()))
        app.state.reference = drawn
    return HTMLResponse(drawn)
