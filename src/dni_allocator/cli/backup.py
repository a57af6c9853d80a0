"""`export` and `import`: a whole system as lines of JSON."""

import asyncio
import os
import sys
from pathlib import Path
from typing import BinaryIO

import typer

from dni_allocator.app import App
from dni_allocator.cli.running import store
from dni_allocator.settings import Settings


def run_export(file: Path | None, *, personal_data: bool) -> None:
    """Write the export to a file that only its owner can read, or to standard output."""
    with store() as settings:
        if file is None:
            asyncio.run(_export(settings, sys.stdout.buffer, personal_data=personal_data))
            return
        # Written beside it, and moved: a file of this name is a whole export.
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            asyncio.run(_export(settings, out, personal_data=personal_data))
        part.replace(file)


async def _export(settings: Settings, out: BinaryIO, *, personal_data: bool) -> None:
    async with App(settings).copying() as backup:
        async for line in backup.export(personal_data=personal_data):
            out.write(line)
        out.flush()


def run_import(file: Path | None) -> None:
    """Read an export into this system, which must be empty."""

    async def restore(settings: Settings) -> None:
        async with App(settings).copying() as backup:
            with sys.stdin.buffer if file is None else file.open("rb") as lines:
                done = await backup.restore(lines)
        kept = " The admin key of this system stays." if done.admin_key_kept else ""
        typer.echo(
            f"Restored {done.pools} pools and {done.endpoints} webhook endpoints "
            f"from {done.records} records.{kept}",
            err=True,
        )

    with store() as settings:
        asyncio.run(restore(settings))
