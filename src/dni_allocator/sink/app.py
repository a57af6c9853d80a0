"""The reference downstream store as an ASGI app: what a good receiver of our webhooks does.

It checks the signature before anything else, stores events by their id (one that comes twice is one
row), alone or in batches, and answers 204 only when they are committed. It stands for somebody
else's system: of this package it knows how signatures are checked, and nothing else.
"""

import contextlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.sink.tables import Received, newest, open_database
from dni_allocator.sink.writer import Writer
from dni_allocator.webhooks.signing import SignatureMismatch, StaleTimestamp, check_verifier, verify

_LOG: Final = logging.getLogger(__name__)
_LONGEST_BODY: Final = 4 * 1024 * 1024
_LONGEST_PAGE: Final = 500


def create_app(
    *,
    database_url: str,
    secrets: Sequence[str],
    read_token: str | None = None,
    now_s: Callable[[], float] = time.time,
) -> Starlette:
    """The app; the database is opened when it starts up.

    Args:
        database_url: Any SQLAlchemy URL, such as `sqlite:///sink.db`.
        secrets: The endpoint's `whsec_…` or `whpk_…`; more than one while it is being rotated.
        read_token: Wanted as `Authorization: Bearer` by `GET /events`. None: that is open, which
            is for a sink that only its own machine can reach, as events name visitors.
        now_s: Seconds since 1970, for the age of signatures.

    Raises:
        InvalidRequest: There is no secret, or one is malformed.
    """
    if not secrets:
        raise InvalidRequest("The sink needs the secret of its endpoint.")
    for secret in secrets:
        check_verifier(secret)
    sink = _Sink(
        database_url=database_url, secrets=tuple(secrets), read_token=read_token, now_s=now_s
    )
    return Starlette(
        routes=[
            Route("/", sink.take, methods=["POST"]),
            Route("/events", sink.take, methods=["POST"]),
            Route("/events", sink.show, methods=["GET"]),
            Route("/livez", sink.live, methods=["GET"]),
        ],
        lifespan=sink.lifespan,
    )


class _Sink:
    def __init__(
        self,
        *,
        database_url: str,
        secrets: Sequence[str],
        read_token: str | None,
        now_s: Callable[[], float],
    ) -> None:
        self._database_url = make_url(database_url)
        self._secrets = secrets
        self._read_token = read_token
        self._now_s = now_s
        self._engine: Engine
        self._writer: Writer

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        url = self._database_url.render_as_string(hide_password=False)
        self._engine = await run_in_threadpool(open_database, url)
        self._writer = Writer(self._engine)
        self._writer.start()
        try:
            yield
        finally:
            await run_in_threadpool(self._writer.stop)
            await run_in_threadpool(self._engine.dispose)

    async def take(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                return _problem(413, "body-too-large", "At most 4 MB.")
        try:
            event_id = verify(
                self._secrets, headers=request.headers, body=bytes(body), now_s=self._now_s()
            )
        except SignatureMismatch as error:
            return _problem(401, error.code, error.detail)
        except StaleTimestamp as error:
            return _problem(400, error.code, error.detail)
        events = _parse(body, content_type=request.headers.get("content-type", ""))
        if events is None:
            return _problem(422, "not-an-event", "The body is no event of Standard Webhooks.")
        received = [self._received(_id_of(each) or event_id, each) for each in events]
        try:
            await self._writer.store(received)
        except SQLAlchemyError as error:
            # The text of a database error can hold the row: only its kind is logged.
            _LOG.warning("event not stored: %s", type(error).__name__)
            return _problem(503, "not-stored", "The database refused. Send it again.")
        return Response(status_code=204)

    def _received(self, event_id: str, payload: Mapping[str, object]) -> Received:
        data = payload.get("data")
        return Received(
            id=event_id,
            type=str(payload["type"])[:255],
            occurred_at=_moment(payload.get("timestamp")),
            received_at=datetime.fromtimestamp(self._now_s(), UTC),
            payload=payload,
            data=data if isinstance(data, dict) else {},
        )

    async def show(self, request: Request) -> Response:
        if self._read_token is not None:
            expected = f"Bearer {self._read_token}"
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), expected.encode()):
                return _problem(401, "unauthorized", "A bearer token is required.")
        wanted = request.query_params.get("limit", "50")
        if not (wanted.isascii() and wanted.isdigit()) or not 1 <= int(wanted) <= _LONGEST_PAGE:
            return _problem(422, "invalid-limit", f"limit is a number from 1 to {_LONGEST_PAGE}.")
        after = request.query_params.get("after")
        try:
            rows = await run_in_threadpool(self._page, int(wanted), after)
        except SQLAlchemyError as error:
            _LOG.warning("events not read: %s", type(error).__name__)
            return _problem(503, "not-read", "The database does not answer.")
        if rows is None:
            return _problem(404, "unknown-event", "There is no event with the id in after.")
        return JSONResponse({"events": [_shown(row) for row in rows]})

    def _page(self, limit: int, after: str | None) -> list[dict[str, object]] | None:
        with self._engine.connect() as connection:
            return newest(connection, limit=limit, after=after)

    async def live(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})


def _parse(body: bytes | bytearray, *, content_type: str) -> list[dict[str, object]] | None:
    """One event, a JSON array of them, or one a line; None if any is none."""
    payload: object
    try:
        if content_type.startswith("application/x-ndjson"):
            payload = [json.loads(line) for line in body.splitlines() if line.strip()]
        else:
            payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    events: list[object] = payload if isinstance(payload, list) else [payload]
    good = [one for one in events if isinstance(one, dict) and isinstance(one.get("type"), str)]
    return good if good and len(good) == len(events) else None


def _id_of(payload: Mapping[str, object]) -> str:
    """The id an event carries itself: in a batch `webhook-id` is that of the batch."""
    data = payload.get("data")
    return str(data.get("event_id") or "")[:255] if isinstance(data, dict) else ""


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _shown(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _problem(status: int, code: str, detail: str) -> Response:
    return JSONResponse(
        {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail},
        status_code=status,
        media_type="application/problem+json",
    )
