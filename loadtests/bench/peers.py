"""What /assign is compared with: the same server and the same request, doing as little as can be.

Also the sink that the forwarder delivers to. A process of its own:
`python -m loadtests.bench.peers NAME PORT`.
"""

import sys
from collections.abc import Callable

import orjson
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dni_allocator.api.schemas import AssignBody

_JSON = [(b"content-type", b"application/json")]


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send(send: Send, status: int, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*_JSON, length]})
    await send({"type": "http.response.body", "body": body})


async def _accept_lifespan(receive: Receive, send: Send) -> None:
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})


def raw_asgi() -> ASGIApp:
    """No framework: read the body, send it back."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _accept_lifespan(receive, send)
            return
        await _send(send, 200, await _read(receive))

    return echo


def starlette_route() -> ASGIApp:
    """A route of the framework below FastAPI: read the body, send it back."""

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    return Starlette(routes=[Route("/assign", echo, methods=["GET", "POST"])])


class EmptyOut(BaseModel):
    """The typed answer of an endpoint that does nothing."""

    visitor_id: str | None
    numbers: list[str]


def fastapi_typed() -> ASGIApp:
    """Our own body model, a typed answer, and nothing in between."""
    app = FastAPI()

    @app.post("/assign")
    async def assign(body: AssignBody) -> EmptyOut:
        return EmptyOut(visitor_id=body.visitor_id, numbers=[])

    return app


def counting_sink() -> ASGIApp:
    """A receiver that takes every webhook at once; `GET` tells how many events it has."""
    events = requests = 0

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal events, requests
        if scope["type"] == "lifespan":
            await _accept_lifespan(receive, send)
            return
        body = await _read(receive)
        if scope["method"] == "GET":
            await _send(send, 200, orjson.dumps({"events": events, "requests": requests}))
            return
        # One event names its type once; a batch names one for each.
        events += body.count(b'"type":')
        requests += 1
        await _send(send, 200, b"{}")

    return count


PEERS: dict[str, Callable[[], ASGIApp]] = {
    "raw-asgi": raw_asgi,
    "starlette": starlette_route,
    "fastapi": fastapi_typed,
    "sink": counting_sink,
}


def main() -> None:
    """Serve one of them, as our own service is served."""
    name, port = sys.argv[1], int(sys.argv[2])
    uvicorn.run(
        PEERS[name](),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
