"""Events on the terminal as they happen: the same feed as `GET /events`, without HTTP."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

import orjson
import typer

from dni_allocator.app import App
from dni_allocator.cli.running import store
from dni_allocator.domain.events import Event, iso_utc
from dni_allocator.settings import Settings

_WAIT_S = 1.0


def run_tail(
    *, oldest: bool, types: Sequence[str], pools: Sequence[str], as_json: bool, follow: bool
) -> None:
    """Print events until told to stop; without `follow`, those that are there."""
    with store() as settings, suppress(KeyboardInterrupt):
        asyncio.run(
            _tail(settings, oldest=oldest, types=types, pools=pools, as_json=as_json, follow=follow)
        )


async def _tail(
    settings: Settings,
    *,
    oldest: bool,
    types: Sequence[str],
    pools: Sequence[str],
    as_json: bool,
    follow: bool,
) -> None:
    told = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, told.set)
    async with App(settings).reading() as services:
        feed = services.event_feed
        cursor = await feed.start("oldest" if oldest else "now")
        while not told.is_set():
            page = await feed.page(
                cursor, limit=500, types=types, pools=pools, wait_s=_WAIT_S if follow else 0.0
            )
            cursor = page.cursor
            for event in page.events:
                typer.echo(orjson.dumps(event.payload()) if as_json else _line(event))
            if not follow and not page.has_more:
                return


def _line(event: Event) -> str:
    about = (event.pool_id, event.number, event.visitor_id, event.reason)
    return "  ".join([iso_utc(event.occurred_ms), f"{event.type:17}", *filter(None, about)])
