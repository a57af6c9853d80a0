"""A name for each request, so that an answer and the lines of the log about it find each other."""

import re
import secrets

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADER = b"x-request-id"
_TAKEN = re.compile(rb"[0-9a-fA-F-]{16,64}")
"""Of a proxy only what looks like an id of its making: the log must not hold what people send."""


def named(app: ASGIApp) -> ASGIApp:
    """The application, its answers with `X-Request-Id`, its log lines with `request_id`.

    Not around the tag's calls: nothing is logged there that could be looked up.
    """

    async def naming(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        request_id = sent if _TAKEN.fullmatch(sent) else secrets.token_hex(16).encode()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            await app(scope, receive, send_named)

    return naming
