"""Start the processes: settings, embedded server where none is named, logs, signals."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial

import typer
import uvicorn
from pydantic import ValidationError

from dni_allocator.app import App, Options
from dni_allocator.cli.corked import CorkedHttpProtocol
from dni_allocator.cli.part_server import listen, serving
from dni_allocator.cli.server import DrainingServer
from dni_allocator.domain.errors import ConfigurationError, DniError, StoreUnavailable
from dni_allocator.settings import Settings, unknown_variables
from dni_allocator.sink.app import create_app
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.telemetry import configure_logging

REQUESTS_FINISH_WITHIN_S = 20
"""After draining: how long requests under way may take; then they are cut."""


def run_service(*, forwarder: bool) -> None:
    """Serve until told to stop."""
    tell_unknown()
    with store() as settings:
        app = App(settings, Options(forwarder=forwarder, announce=announce_key))
        _check(app)
        spare_the_collector()
        serve_until_told(server(settings, app))


def _check(app: App) -> None:
    """Refuse to start on data that are not ours; a store that is away is waited for later."""
    with suppress(StoreUnavailable):
        asyncio.run(app.check())


def spare_the_collector() -> None:
    """Keep what was loaded at the start out of every later garbage collection.

    Requests leave no cycles behind; by default the collector would look through some 85,000
    objects of loaded modules again and again, in the middle of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def serve_until_told(http: uvicorn.Server) -> None:
    """Run a server and come back after the signal that ends it.

    uvicorn raises the signal again when it is done, which would end the process here and leave the
    embedded server behind.
    """
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signal.SIG_IGN)
    http.run()


def server(settings: Settings, app: App) -> DrainingServer:
    """The HTTP server of an application, ready to run."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=CorkedHttpProtocol,
        interface="asgi3",  # App.__call__ is no coroutine function, which is how uvicorn would tell
        ws="none",
        proxy_headers=False,  # the application does it where it matters
        access_log=False,
        log_config=None,  # telemetry has set it up
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_FINISH_WITHIN_S,
    )
    return DrainingServer(
        config,
        health=app.health,
        drain_s=settings.drain_s,
        request_timeout_s=settings.request_timeout_s,
    )


def run_forwarder() -> None:
    """Forward until told to stop."""
    tell_unknown()
    with store() as settings:
        app = App(settings, Options(announce=announce_key))
        _check(app)
        asyncio.run(_until_told(partial(_forward, app, settings)))


async def _forward(app: App, settings: Settings, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as parts:
        if settings.forward_port is not None:
            listener = listen(settings.host, settings.forward_port)
            await parts.enter_async_context(serving(app.operations, listener))
        await app.forward(stop)


def run_sink(
    *, secrets: list[str], database: str, host: str, port: int, read_token: str | None
) -> None:
    """Run the reference store until told to stop."""
    configure_logging(style="console", level="info")
    uvicorn.run(
        create_app(secrets=secrets, database_url=database, read_token=read_token),
        host=host,
        port=port,
        access_log=False,
        log_config=None,  # telemetry has set it up
        log_level="warning",
        server_header=False,
    )


def announce_key(key: str) -> None:
    """Show the admin key, this once; at once, also where standard output is a file."""
    typer.echo(f"\n  Admin key (shown once, keep it): {key}\n")
    sys.stdout.flush()


@contextmanager
def store() -> Iterator[Settings]:
    """The settings with a store behind them: the named one, else the embedded server."""
    settings = load_settings()
    configure_logging(style=settings.log_format, level=settings.log_level)
    try:
        if settings.redis_url is not None:
            yield settings
            return
        with EmbeddedServer.start(
            settings.data_dir, executable=settings.embedded_server
        ) as embedded:
            yield settings.model_copy(update={"redis_url": embedded.url})
    except DniError as error:
        typer.echo(f"dni-allocator: {error.detail}", err=True)
        raise typer.Exit(2) from error


def load_settings() -> Settings:
    """Read the environment. Ends the process with a readable message when it is wrong."""
    try:
        return Settings()
    except ConfigurationError as error:
        typer.echo(f"dni-allocator: {error.detail}", err=True)
        raise typer.Exit(2) from error
    except ValidationError as error:
        for finding in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in finding["loc"]).upper()
            typer.echo(f"dni-allocator: DNI_{name}: {finding['msg']}", err=True)
        raise typer.Exit(2) from error


def tell_unknown() -> None:
    """Name variables that look like settings and are none: a typing error must not go unseen."""
    for name, meant in unknown_variables(os.environ).items():
        hint = f" Did you mean {meant}?" if meant else ""
        typer.echo(f"dni-allocator: {name} is no setting and is ignored.{hint}", err=True)


async def _until_told(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    await work(stop)
