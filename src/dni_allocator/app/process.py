"""One process of the service: the application and its background work, started and stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from dni_allocator import __version__
from dni_allocator.api.auditing import audited
from dni_allocator.api.caller import TrustedProxies
from dni_allocator.api.context import Services
from dni_allocator.api.edge import Edge
from dni_allocator.api.request_ids import named
from dni_allocator.api.vendor_requests import VendorKeys
from dni_allocator.app.http import (
    behind_proxies,
    bounded_bodies,
    build_api,
    closing,
    only_operations,
)
from dni_allocator.app.maintenance import build_backup, build_doctor, build_measuring
from dni_allocator.app.stores import Stores
from dni_allocator.app.tracing import Tracing
from dni_allocator.app.wiring import DIALECTS, build_services
from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.domain.webhook import Endpoint, Verdict
from dni_allocator.metrics import Metrics, OutboxGauges
from dni_allocator.rounds import pause
from dni_allocator.services.access import Access
from dni_allocator.services.backup import Backup
from dni_allocator.services.doctor import Doctor
from dni_allocator.services.health import Health
from dni_allocator.services.history import Historian
from dni_allocator.services.shelving import Shelving
from dni_allocator.services.sweeping import Sweeper
from dni_allocator.settings import Settings
from dni_allocator.store.connection import Connection
from dni_allocator.store.examining import memory_share
from dni_allocator.store.migrating import check_layout
from dni_allocator.store.outbox import Presence
from dni_allocator.store.secrets import SecretStore
from dni_allocator.store.shards import redis_time
from dni_allocator.store.shelves import ShelfStore
from dni_allocator.vendors.rest import REQUESTS, Patience
from dni_allocator.vendors.telnyx.commands import TelnyxCommands
from dni_allocator.webhooks.forwarder import Forwarder
from dni_allocator.webhooks.guard import parse_networks
from dni_allocator.webhooks.housekeeping import Housekeeping, Outboxes
from dni_allocator.webhooks.ports import Attempt
from dni_allocator.webhooks.transport import HttpTransport

log = structlog.get_logger(__name__)

_PREPARE_AGAIN_S = 1.0


def _silent(_: str) -> None:
    """Say nothing: where nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one process runs, beyond the settings.

    `announce` is told the admin key, once, by the process that made it. `clock` lets tests drive
    the time; see `store.shards`. `patience` is that with vendors; None: as it is by default.
    """

    forwarder: bool = True
    sweeper: bool = True
    buyer: bool = True
    patience: Patience | None = None
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
        self._stores = Stores.on(
            self._connection,
            execute=self._execute,
            settings=settings,
            clock=self._options.clock,
        )
        key = settings.telnyx_api_key
        self._commands = (
            None
            if key is None
            else TelnyxCommands(api_key=key.get_secret_value(), base_url=settings.telnyx_api_url)
        )
        self.services = build_services(
            self._stores,
            settings=settings,
            transport=self._transport,
            patience=self._options.patience,
            commands=self._commands,
        )
        self.metrics.telephony = self.services.telephony.answers
        self.metrics.store_errors = self._connection.failures
        self.metrics.failovers = self._connection.failovers
        self.metrics.script_durations = self._connection.script_times.by_script
        self.metrics.vendor_requests = REQUESTS
        self._vendor_keys = VendorKeys.of(settings)
        self._health = self.services.health
        self.api = build_api(
            self.services,
            settings=settings,
            vendor_keys=self._vendor_keys,
            metrics=self.metrics,
            measuring=build_measuring(self._stores, self.metrics),
            lifespan=self._lifespan,
        )
        self._edge: ASGIApp = Edge(
            allocation=self.services.allocation,
            metrics=self.metrics,
            # Not before the tag's calls: they ask neither for the client's address nor the scheme.
            proxies=TrustedProxies.parse(settings.forwarded_allow_ips),
            rest=behind_proxies(
                bounded_bodies(named(audited(self.api, self.services.audit))),
                believed=settings.forwarded_allow_ips,
            ),
        )
        self._tracing = Tracing() if settings.traces else None
        if self._tracing is not None:
            self._edge = self._tracing.around(self._edge)

    @property
    def health(self) -> Health:
        """Readiness of this process; the server sets `draining` on it."""
        return self._health

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI connection. No coroutine of its own: it would be one more a request."""
        if self._health.draining and scope["type"] == "http":
            send = closing(send)
            scope.pop("extensions", None)  # a way around `send`
        return self._edge(scope, receive, send)

    @property
    def operations(self) -> ASGIApp:
        """What a process without pages and callers serves: its health and its metrics."""
        return only_operations(self.api)

    def sweeper(self, *, interval_s: float = 1.0) -> Sweeper:
        """The housekeeper of leases."""
        return Sweeper(
            pools=self._stores.pools,
            leases=self._stores.leases,
            directory=self._stores.directory,
            shelving=Shelving(shelves=ShelfStore(self._stores.bulk), pools=self._stores.pools),
            metrics=self.metrics,
            interval_s=interval_s,
        )

    def historian(self) -> Historian:
        """The collector of what happened in pools."""
        return Historian(self._stores.history())

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
            tasks.append(asyncio.create_task(self.services.erasure.run(stop)))
            tasks.append(asyncio.create_task(self.historian().run(stop)))
        if self._options.buyer:
            tasks.append(asyncio.create_task(self.services.buyer.run(stop)))
        if self._vendor_keys.any:
            tasks.append(asyncio.create_task(self.services.telephony.run(stop)))
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
            await self._close()

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
            await self._close()

    async def _close(self) -> None:
        if self._tracing is not None:
            await self._tracing.close()
        await self.services.shops.close()
        await self._transport.close()
        if self._commands is not None:
            await self._commands.close()
        await self._connection.close()

    @asynccontextmanager
    async def copying(self) -> AsyncIterator[Backup]:
        """Copies of all data, out and in. Raises as `reading`."""
        async with self.reading():
            yield build_backup(self._stores)

    @asynccontextmanager
    async def examining(self) -> AsyncIterator[Doctor]:
        """The doctor, also for data that this process would refuse to serve. Writes nothing."""
        try:
            self._prepared = True
            yield build_doctor(self._stores, self._settings)
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
                outboxes=self._stores.outboxes(),
                endpoints=self._stores.endpoints(),
                presence=Presence(self._execute),
                transport=transport,
                dialects=DIALECTS,
                observe=self._observe,
                disabled=self._disabled,
                housekeeping=self._housekeeping(),
            )
            await forwarder.run(stop)

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            outboxes=self._stores.outboxes(),
            endpoints=self._stores.endpoints(),
            cap_bytes=self._settings.outbox_max_mb * 1024 * 1024,
            observe=self._measured,
            disabled=self._disabled,
            memory=lambda: memory_share(self._execute),
        )

    def _observe(self, attempt: Attempt) -> None:
        self.metrics.deliveries[attempt.endpoint_id, attempt.verdict.value] += 1
        self.metrics.delivery_durations.observe(attempt.seconds)
        if attempt.verdict is Verdict.TAKEN:
            self.metrics.delivered[(attempt.endpoint_id,)] += attempt.events

    def _disabled(self, endpoint: Endpoint) -> None:
        self.metrics.disabled[endpoint.id, endpoint.disabled_reason or ""] += 1

    def _measured(self, seen: Outboxes) -> None:
        self.metrics.outbox = OutboxGauges(
            entries=seen.entries,
            pending=seen.pending,
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
                await pause(stop, _PREPARE_AGAIN_S)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self.running():
            yield
