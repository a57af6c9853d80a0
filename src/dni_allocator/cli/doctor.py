"""`doctor`: what is wrong, in one look."""

import asyncio

import orjson
import typer

from dni_allocator.app import App
from dni_allocator.cli.running import store, tell_unknown
from dni_allocator.services.doctor import Finding, Level
from dni_allocator.settings import Settings

_MARKS = {Level.OK: "ok  ", Level.WARN: "warn", Level.BAD: "BAD "}


def run_doctor(*, as_json: bool) -> int:
    """Print the findings; exit status 1 when one is bad."""

    async def examine(settings: Settings) -> list[Finding]:
        async with App(settings).examining() as doctor:
            return await doctor.examine()

    tell_unknown()
    with store() as settings:
        found = asyncio.run(examine(settings))
    bad = any(each.level is Level.BAD for each in found)
    if as_json:
        typer.echo(orjson.dumps({"ok": not bad, "findings": found}).decode())
    else:
        for each in found:
            typer.echo(f"{_MARKS[each.level]}  {each.name:12}  {each.detail}")
    return 1 if bad else 0
