"""`dni-allocator demo`: everything in one process, but Valkey, and all of it ended together.

Owns the parts of a running demonstration and the order in which they start and stop. What is shown
is in `demo`.
"""

import asyncio
import contextlib
import errno
import json
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final, Self

import typer
import uvloop
from pydantic import SecretStr

from dni_allocator.app import App, Options
from dni_allocator.cli.part_server import listen, serving
from dni_allocator.cli.running import load_settings
from dni_allocator.demo.client import Client
from dni_allocator.demo.company import SAGUARO, Company
from dni_allocator.demo.routes import DemoPages
from dni_allocator.demo.stage import Stage, set_stage
from dni_allocator.domain.errors import DniError, StoreUnavailable
from dni_allocator.services.ids import new_secret_key
from dni_allocator.settings import Settings
from dni_allocator.sink.app import create_app
from dni_allocator.store.embedded import EmbeddedServer
from dni_allocator.telemetry import configure_logging
from dni_allocator.webhooks.signing import new_secret

LOOPBACK: Final = "127.0.0.1"
_SHARDS: Final = 8
_REFUSED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What must be the same at the next start; readable by the owner of the data only.

    The admin key is kept here because a demonstration shows it at every start; the service itself
    keeps no more than its hash.
    """

    admin_key: str
    webhook_secret: str

    @classmethod
    def kept_in(cls, data_dir: Path) -> Self:
        """Read them, or make them at the first start. Raises `StoreUnavailable`."""
        path = data_dir / "secrets.json"
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                record = json.loads(path.read_text("utf-8"))
                return cls(
                    admin_key=str(record["admin_key"]),
                    webhook_secret=str(record["webhook_secret"]),
                )
            made = cls(
                admin_key=new_secret_key(), webhook_secret=new_secret(secrets.token_bytes(32))
            )
            draft = path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(asdict(made)), "utf-8")
            draft.rename(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"the data directory {data_dir} cannot be used: {error}"
            raise StoreUnavailable(message) from error
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A running demonstration. Addresses have no slash at the end."""

    app: App
    stage: Stage
    url: str
    sink_url: str


@asynccontextmanager
async def demonstrating(
    settings: Settings,
    *,
    listener: socket.socket,
    sink_listener: socket.socket,
    kept: Secrets,
    options: Options | None = None,
    company: Company = SAGUARO,
) -> AsyncIterator[Demonstration]:
    """Run service, forwarder and sink on these sockets until the block ends; then stop all three.

    `settings` name the store and the data directory. The forwarder may reach loopback, which only
    the demonstration allows. Raises `ConfigurationError` for a store with data of another kind,
    `httpx.HTTPError` when the scene cannot be set.
    """
    url, sink_url = _url(listener), _url(sink_listener)
    settings = settings.model_copy(
        update={
            "admin_key": SecretStr(kept.admin_key),
            "public_url": None,
            "shards": _SHARDS,
            "webhook_allow": f"{LOOPBACK}/32",
        }
    )
    async with AsyncExitStack() as parts:
        database = settings.data_dir.absolute() / "sink.db"
        sink = create_app(database_url=f"sqlite:///{database}", secrets=[kept.webhook_secret])
        await parts.enter_async_context(sink.router.lifespan_context(sink))
        await parts.enter_async_context(serving(sink, sink_listener))
        app = App(settings, options)
        await parts.enter_async_context(app.running())
        await parts.enter_async_context(serving(app, listener))
        # Before the server waits for what is under way: pages that listen for news would stay.
        parts.callback(setattr, app.health, "draining", True)  # noqa: FBT003 -- as setattr takes it
        client = Client(service_url=url, secret_key=kept.admin_key, sink_url=sink_url)
        parts.push_async_callback(client.close)
        stage = await set_stage(
            client,
            company,
            origins=_origins(listener),
            webhook_url=f"{sink_url}/events",
            webhook_secret=kept.webhook_secret,
        )
        app.api.include_router(DemoPages(stage, client).router)
        yield Demonstration(app=app, stage=stage, url=url, sink_url=sink_url)


def run_demo(*, port: int, data_dir: Path) -> None:
    """Show until told to stop. Ends the process with a sentence when it cannot start."""
    for sig in _stopping():
        signal.signal(sig, _leave)
    settings = load_settings()
    configure_logging(style=settings.log_format, level=_quieter(settings.log_level))
    try:
        with (
            _listen(settings.host, port) as listener,
            _listen_nearby(port) as sink_listener,
            EmbeddedServer.start(data_dir, executable=settings.embedded_server) as store,
        ):
            if not store.owned:
                message = f"another process uses the data in {data_dir}; stop it, or --data-dir"
                raise StoreUnavailable(message)
            settings = settings.model_copy(update={"redis_url": store.url, "data_dir": data_dir})
            kept = Secrets.kept_in(data_dir)
            if settings.admin_key is not None:
                kept = replace(kept, admin_key=settings.admin_key.get_secret_value())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_show(settings, kept, listener=listener, sink_listener=sink_listener))
    except DniError as error:
        typer.echo(f"dni-allocator demo: {error.detail}", err=True)
        raise typer.Exit(_REFUSED) from error


async def _show(
    settings: Settings,
    kept: Secrets,
    *,
    listener: socket.socket,
    sink_listener: socket.socket,
) -> None:
    stop = asyncio.Event()
    for sig in _stopping():
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    async with demonstrating(
        settings, listener=listener, sink_listener=sink_listener, kept=kept
    ) as shown:
        _announce(shown, admin_key=kept.admin_key, data_dir=settings.data_dir)
        await stop.wait()
        # The terminal may be what ended.
        with contextlib.suppress(OSError):
            typer.echo("\n  Stopping.")


def _announce(shown: Demonstration, *, admin_key: str, data_dir: Path) -> None:
    company = shown.stage.company
    typer.echo(f"""
  The demo is running.

  Open   {shown.url}/demo
         See a number of your own, press "Call it", see the call attributed and delivered.

  Look   {shown.url}/dashboard
         Pools, numbers, visitors, calls, deliveries: sign in with the key below.

  API    {shown.url}/docs
  Sink   {shown.sink_url}/events
  Admin key (for this demo only)
         {admin_key}

  Ask whose number it is, as a backend does:
    curl -H "Authorization: Bearer {admin_key}" \\
      {shown.url}/attribution/{company.numbers[0]}

  The data are in {data_dir}; delete it to start afresh. Ctrl-C stops everything.
""")
    # At once, also where standard output is a file.
    sys.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `StoreUnavailable` with advice when the port is taken."""
    try:
        return listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} is taken; stop what listens there, or choose another: "
                f"dni-allocator demo --port {port + 1}"
            )
        else:
            message = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise StoreUnavailable(message) from error


def _listen_nearby(port: int) -> socket.socket:
    """A socket for the sink: the next port, or any."""
    if port:
        with contextlib.suppress(OSError, OverflowError):
            return listen(LOOPBACK, port + 1)
    return listen(LOOPBACK, 0)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    # What listens everywhere is asked on this machine.
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 -- not bound here # nosec B104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _origins(listener: socket.socket) -> Sequence[str]:
    """Where the page may be opened; anywhere when other machines can reach it."""
    host, port = listener.getsockname()[:2]
    if host not in {LOOPBACK, "::1"}:
        return ("*",)
    return (f"http://{LOOPBACK}:{port}", f"http://localhost:{port}", f"http://[::1]:{port}")


def _quieter(level: str) -> str:
    """Warnings only, where nobody asked for more: the terminal shows where to look."""
    return "warning" if level == "info" else level


def _stopping() -> list[signal.Signals]:
    """What ends the demonstration; a closed terminal does not if `nohup` said so."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hung_up]


def _leave(sig: int, _: FrameType | None) -> None:
    """Unwind while parts are being started, so that the server's process is not left behind."""
    raise SystemExit(128 + sig)
