"""The API for people to read: `/docs`, drawn from the description, without a key.

Open unless `DNI_DOCS` closes it: it tells what the repository tells (ADR 40).
"""

import asyncio
from typing import cast

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from dni_allocator.dashboard.access import PageRoute
from dni_allocator.dashboard.page import text_of
from dni_allocator.dashboard.reference import Reference

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/docs")
async def reference(request: Request) -> Response:
    """Every operation and every shape on one page; drawn once for a process, in a thread.

    To gather the description takes a second, and visitors must not wait for that.
    """
    app = cast("FastAPI", request.app)
    drawn: str | None = getattr(app.state, "reference", None)
    if drawn is None:
        drawn = app.state.reference = await asyncio.to_thread(
            lambda: text_of(request, "reference.html", reference=Reference.of(app.openapi()))
        )
    return HTMLResponse(drawn)


@router.get("/openapi.json")
async def description(request: Request) -> Response:
    """The description itself, written once as above: to write it for each who asks is a lot."""
    app = cast("FastAPI", request.app)
    if app.state.description is None:
        app.state.description = await asyncio.to_thread(lambda: orjson.dumps(app.openapi()))
    return Response(app.state.description, media_type="application/json")
