"""Write `openapi.yaml` and the schemas of events, or check that the committed ones are fresh."""

import json
from pathlib import Path

import typer
import yaml

from dni_allocator.app import App
from dni_allocator.cli.configuring import settings_table
from dni_allocator.domain.catalogue import KINDS
from dni_allocator.settings import Settings


class _Plain(yaml.SafeDumper):
    """Repeats what occurs twice: people read this file, and few readers expect YAML's anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


_BEGIN, _END = "<!-- settings, written by `make openapi` -->\n", "<!-- end of settings -->\n"


def describe(path: Path, *, check: bool) -> int:
    """Write the description to `path`, and beside it `docs/schemas` and the table of settings.

    With `check` only compare. Return the exit status.
    """
    app = App(Settings(redis_url="redis://localhost"))
    wanted = {
        path: yaml.dump(
            app.api.openapi(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
        )
    }
    folder = path.parent / "docs" / "schemas"
    for kind in KINDS.values():
        text = json.dumps(kind.schema(), indent=2, ensure_ascii=False) + "\n"
        wanted[folder / kind.file_name] = text
    operations = path.parent / "docs" / "operations.md"
    if operations.is_file():
        wanted[operations] = _with_settings(operations.read_text("utf-8"))
    stale = [
        file
        for file, text in wanted.items()
        if not file.is_file() or file.read_text("utf-8") != text
    ]
    if not check:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in wanted.items():
            file.write_text(text, "utf-8")
        return 0
    for file in stale:
        typer.echo(f"{file} is not what the code describes; run: make openapi", err=True)
    return 1 if stale else 0


def _with_settings(document: str) -> str:
    """The document with the table of settings as it is now, between its two marks."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{settings_table()}{end}{after}" if end else document
