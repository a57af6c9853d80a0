"""Composition root: settings in, ASGI application out. Everything is wired here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dni_allocator import __version__
from dni_allocator.api import errors
from dni_allocator.api.caller import TrustedProxies
from dni_allocator.api.context import Services
from dni_allocator.api.edge import Edge
from dni_allocator.api.openapi import describe
from dni_allocator.api.routes import (
    assigning,
    attribution,
    events,
    explain,
    health,
    numbers,
    pools,
    sites,
    tag,
    webhooks,
)
from dni_allocator.domain.errors import BodyTooLarge, ConfigurationError, StoreUnavailable
from dni_allocator.domain.webhook import Verdict
from dni_allocator.metrics import Metrics, OutboxGauges
from dni_allocator.services.access import Access
from dni_allocator.services.allocation import Allocation
from dni_allocator.services.attribution import AttributionService
from dni_allocator.services.deliveries import Deliveries
from dni_allocator.services.endpoints import Endpoints
from dni_allocator.services.event_feed import EventFeed
from dni_allocator.services.explaining import Explainer
from dni_allocator.services.health import Health
from dni_allocator.services.inventory import Inventory
from dni_allocator.services.pools import Pools
from dni_allocator.services.quarantine import Quarantine
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.site_records import SiteRecords
from dni_allocator.services.sites import Sites
from dni_allocator.services.suggestions import Suggestions
from dni_allocator.services.sweeping import Sweeper
from dni_allocator.settings import Settings
from dni_allocator.store.connection import Connection
from dni_allocator.store.directory import Directory
from dni_allocator.store.endpoints import Endpoints as EndpointStore
from dni_allocator.store.event_log import EventLog
from dni_allocator.store.explaining import Explaining
from dni_allocator.store.leases import LeaseStore
from dni_allocator.store.outbox import Outbox, Presence
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.secrets import SecretStore
from dni_allocator.store.shards import Shards, check_layout, redis_time
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.store.site_records import SiteStore
from dni_allocator.store.suggestions import SuggestionStore
from dni_allocator.webhooks.forwarder import Forwarder
from dni_allocator.webhooks.guard import parse_networks
from dni_allocator.webhooks.housekeeping import Housekeeping, Outboxes
from dni_allocator.webhooks.ports import Attempt
from dni_allocator.webhooks.transport import HttpTransport

log = structlog.get_logger(__name__)

LARGEST_ADMIN_BODY = 4 * 1024 * 1024
_PREPARE_AGAIN_S = 1.0


def _silent(_: str) -> None:
    """Say nothing: where nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one process runs, beyond the settings.

    `announce` is told the admin key, once, by the process that made it. `clock` lets tests drive
    the time; see `store.shards`.
    """

    forwarder: bool = True
    sweeper: bool = True
    announce: Callable[[str], None] = _silent
    clock: Callable[[], str] = redis_time


class App:
    """The whole service as one ASGI application, with its background work in the lifespan."""

    def __init__(self, settings: Settings, options: Options | None = None) -> None:
        if settings.redis_url is None:
            message = "an App needs redis_url; the CLI starts the embedded server"
            raise ValueError(message)
        self._settings = settings
        self._options = options or Options()
        self._allowed = parse_networks(settings.webhook_allow)
        self._connection = Connection(
            settings.redis_url, timeout_s=settings.redis_timeout_s, admit=self._admit
        )
        self._prepared = False
        # Of `try_out` only: the forwarder has connections of its own.
        self._transport = HttpTransport(allowed=self._allowed)
        self.metrics = Metrics(version=__version__)
        # Scripts of the hot path share one connection; bulky administration has a pool of its own,
        # so that an import of numbers delays no page.
        self._directory = Directory(self._connection.pipelined)
        hot = Shards(self._connection.pipelined, settings.shards, self._options.clock)
        self._leases = LeaseStore(hot)
        self._sites = Sites(directory=self._directory, pools=PoolStore(hot))
        self._bulk = Shards(self._execute, settings.shards, self._options.clock)
        self._pools = PoolStore(self._bulk)
        self.services = self._build_services()
        self._health = self.services.health
        self.api = self._build_api()
        self._edge: ASGIApp = Edge(
            allocation=self.services.allocation,
            metrics=self.metrics,
            # Not before the tag's calls: they ask neither for the client's address nor the scheme.
            proxies=TrustedProxies.parse(settings.forwarded_allow_ips),
            rest=_behind_proxies(_bounded(self.api), believed=settings.forwarded_allow_ips),
        )

    @property
    def health(self) -> Health:
        """Readiness of this process; the server sets `draining` on it."""
        return self._health

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI connection. No coroutine of its own: it would be one more a request."""
        if self._health.draining and scope["type"] == "http":
            send = _closing(send)
        return self._edge(scope, receive, send)

    def sweeper(self, *, interval_s: float = 1.0) -> Sweeper:
        """The housekeeper of leases."""
        return Sweeper(
            pools=self._pools,
            leases=self._leases,
            directory=self._directory,
            metrics=self.metrics,
            interval_s=interval_s,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Prepare the store, run the background work, and stop it cleanly at the end.

        A store that is away does not stop the start: every call answers 503 until it is there.
        Raises `ConfigurationError` for data that are not ours to write.
        """
        stop = asyncio.Event()
        try:
            await self._prepare()
        except StoreUnavailable as error:
            log.warning("store.unavailable_at_start", detail=error.detail)
        except BaseException:
            await self._connection.close()
            raise
        tasks = [asyncio.create_task(self._keep_preparing(stop))]
        if self._options.sweeper:
            tasks.append(asyncio.create_task(self.sweeper().run(stop)))
        if self._options.forwarder:
            tasks.append(asyncio.create_task(self._forward(stop)))
        elif self._options.sweeper:
            tasks.append(asyncio.create_task(self._housekeeping().run(stop)))
        try:
            yield
        finally:
            stop.set()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("background.failed", exc_info=outcome)
            await self._transport.close()
            await self._connection.close()

    async def check(self) -> None:
        """Compare the settings with the data, before anything is started.

        Raises `ConfigurationError`, `StoreUnavailable`. Leaves nothing open.
        """
        async with Connection(self._settings.redis_url or "") as connection:
            await check_layout(connection.execute, shards=self._settings.shards)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Services]:
        """The services without any work in the background, for a command that looks.

        Raises `ConfigurationError`, `StoreUnavailable`.
        """
        try:
            await check_layout(self._connection.execute, shards=self._settings.shards)
            self._prepared = True
            yield self.services
        finally:
            await self._transport.close()
            await self._connection.close()

    async def forward(self, stop: asyncio.Event) -> None:
        """Run only the forwarder, for `dni-allocator forward`."""
        await self._keep_preparing(stop)
        await self._forward(stop)
        await self._connection.close()

    async def _forward(self, stop: asyncio.Event) -> None:
        async with HttpTransport(allowed=self._allowed) as transport:
            forwarder = Forwarder(
                outboxes=self._outboxes(),
                endpoints=self._endpoint_store(),
                presence=Presence(self._execute),
                transport=transport,
                observe=self._observe,
                housekeeping=self._housekeeping(),
            )
            await forwarder.run(stop)

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            outboxes=self._outboxes(),
            endpoints=self._endpoint_store(),
            cap_bytes=self._settings.outbox_max_mb * 1024 * 1024,
            observe=self._measured,
        )

    def _outboxes(self) -> list[Outbox]:
        return [Outbox(self._execute, shard=shard) for shard in range(self._settings.shards)]

    def _endpoint_store(self) -> EndpointStore:
        return EndpointStore(self._execute, shards=self._settings.shards)

    def _observe(self, attempt: Attempt) -> None:
        self.metrics.deliveries[attempt.endpoint_id, attempt.verdict.value] += 1
        if attempt.verdict is Verdict.TAKEN:
            self.metrics.delivered[(attempt.endpoint_id,)] += attempt.events

    def _measured(self, seen: Outboxes) -> None:
        self.metrics.outbox = OutboxGauges(
            entries=seen.entries,
            bytes=seen.bytes,
            cap_bytes=seen.cap_bytes,
            lost=seen.lost,
            oldest_unread_ms=seen.oldest_unread_ms,
        )

    def _admit(self) -> None:
        """Refuse the store until its layout was compared with the settings."""
        if not self._prepared:
            message = "The store has not been reached since this process started."
            raise StoreUnavailable(message)

    async def _execute(self, *command: str | bytes | int) -> object:
        self._admit()
        return await self._connection.execute(*command)

    async def _prepare(self) -> None:
        await check_layout(self._connection.execute, shards=self._settings.shards)
        configured = self._settings.admin_key
        made = await Access(SecretStore(self._connection.execute)).ensure_admin_key(
            None if configured is None else configured.get_secret_value()
        )
        # Last: a store that goes away in the middle must be prepared again.
        self._prepared = True
        if made is not None:
            self._options.announce(made)

    async def _keep_preparing(self, stop: asyncio.Event) -> None:
        while not self._prepared and not stop.is_set():
            try:
                await self._prepare()
            except ConfigurationError as error:
                # Met only now, because the store was away at the start. Serving on would look for
                # every pool in the wrong place; each call is refused until somebody mends it.
                log.critical("start.impossible", detail=error.detail)
                return
            except StoreUnavailable:
                try:
                    await asyncio.wait_for(stop.wait(), timeout=_PREPARE_AGAIN_S)
                except TimeoutError:
                    continue

    def _build_services(self) -> Services:
        shelves = ShelfStore(self._bulk)
        shelving = Shelving(shelves=shelves, pools=self._pools)
        suggestions = Suggestions(SuggestionStore(self._bulk))
        logs = [EventLog(self._execute, shard=shard) for shard in range(self._settings.shards)]
        return Services(
            access=Access(SecretStore(self._connection.pipelined)),
            allocation=Allocation(
                sites=self._sites,
                leases=self._leases,
                shelving=shelving,
                suggestions=suggestions,
            ),
            attribution=AttributionService(
                directory=self._directory, pools=self._pools, leases=self._leases
            ),
            deliveries=Deliveries(
                endpoints=self._endpoint_store(),
                logs=logs,
                outboxes=self._outboxes(),
                transport=self._transport,
            ),
            endpoints=Endpoints(self._endpoint_store()),
            event_feed=EventFeed(logs),
            health=Health(self._connection.pipelined),
            inventory=Inventory(pools=self._pools, directory=self._directory),
            pools=Pools(pools=self._pools, directory=self._directory, shelving=shelving),
            quarantine=Quarantine(pools=self._pools, shelves=shelves),
            sites=self._sites,
            site_records=SiteRecords(
                sites=SiteStore(self._execute), pools=self._pools, directory=self._directory
            ),
            explainer=Explainer(store=Explaining(self._bulk), shelving=shelving),
            suggestions=suggestions,
        )

    def _build_api(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            async with self.running():
                yield

        api = FastAPI(
            title="dni-allocator",
            version=__version__,
            lifespan=lifespan,
            redirect_slashes=False,
            max_body_size=LARGEST_ADMIN_BODY,
        )
        api.state.services = self.services
        api.state.public_url = self._settings.public_url
        api.state.metrics = self.metrics
        errors.install(api)
        for room in (
            health, assigning, sites, pools, explain, numbers, attribution, webhooks, events, tag,
        ):  # fmt: skip
            api.include_router(room.router)
        describe(api)
        return api


def _bounded(app: ASGIApp) -> ASGIApp:
    """Refuse a body declared too large with a problem document; the framework's own is plain text.

    Bodies of undeclared length are counted by the framework as they come.
    """

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        declared = dict(scope.get("headers", ())).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > LARGEST_ADMIN_BODY:
            error = BodyTooLarge(f"The body is over {LARGEST_ADMIN_BODY} bytes.")
            status, body, _ = errors.problem_of(error)
            await Response(body, status, media_type=errors.PROBLEM_JSON)(scope, receive, send)
            return
        await app(scope, receive, send)

    return bounded


def _behind_proxies(app: ASGIApp, *, believed: str) -> ASGIApp:
    """Take the client's address and the scheme from the headers of proxies that are believed."""
    # uvicorn types ASGI messages more narrowly than Starlette does.
    inner: Any = app
    outer: Any = ProxyHeadersMiddleware(inner, trusted_hosts=believed)
    return cast("ASGIApp", outer)


def _closing(send: Send) -> Send:
    """Ask the client to come back on another connection: this process is about to stop."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_closing
