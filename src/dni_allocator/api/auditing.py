"""Note every change of the administration: one place for all routes, those to come included.

Around the framework, not in the routes: what `opens(Scope.ADMIN)` let in with a method that
changes something, and was answered with success, is noted before the answer goes out. The tag's
calls never come here.
"""

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dni_allocator.api.auth import Opened
from dni_allocator.domain.audit import AuditEntry, field_names, told_of
from dni_allocator.services import access
from dni_allocator.services.audit import AuditLog

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MOST_READ = 64 * 1024
"""Larger bodies are lists of numbers: their one field is not worth a second copy of them."""

_CREATED, _SEE_OTHER = 201, 303


def audited(app: ASGIApp, audit: AuditLog) -> ASGIApp:
    """The application, with its changes noted."""

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGING:
            await app(scope, receive, send)
            return
        scope.setdefault("state", {})
        heard = _Heard(receive)
        held: Message | None = None

        async def note_then_send(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                held = message
                return
            if held is not None:
                opened = scope["state"].get("opened")
                done = held["status"] // 100 == 2 or held["status"] == _SEE_OTHER  # noqa: PLR2004 -- success; a form ends on another page
                if done and isinstance(opened, Opened):
                    await _note(audit, opened, scope["method"], held["status"], heard, message)
                start, held = held, None
                await send(start)
            await send(message)

        await app(scope, heard.receive, note_then_send)

    return noting


async def _note(  # noqa: PLR0917 - all of what is known of one request
    audit: AuditLog, opened: Opened, method: str, status: int, heard: "_Heard", answer: Message
) -> None:
    if opened.scope is not access.Scope.ADMIN:
        return
    about = told_of(opened.named)
    if status == _CREATED:
        made = _json(answer.get("body", b"")).get("id")
        if isinstance(made, str):
            about |= told_of({"id": made})
    await audit.record(
        AuditEntry(
            key_id=opened.caller.key_id,
            action=f"{method} {opened.route}",
            about=about,
            changed=field_names(_json(bytes(heard.body))),
            status=status,
        )
    )


class _Heard:
    """What came in, up to a size."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.body = bytearray()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and len(self.body) <= _MOST_READ:
            self.body += message.get("body", b"")
        return message


def _json(body: bytes) -> dict[str, object]:
    if len(body) > _MOST_READ:
        return {}
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
