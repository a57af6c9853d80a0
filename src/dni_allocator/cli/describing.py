"""Write `openapi.yaml`, or check that the committed one is fresh."""

from pathlib import Path

import typer
import yaml

from dni_allocator.app import App
from dni_allocator.settings import Settings


class _Plain(yaml.SafeDumper):
    """Repeats what occurs twice: people read this file, and few readers expect YAML's anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def describe(path: Path, *, check: bool) -> int:
    """Write the description to `path`; with `check` only compare. Return the exit status."""
    app = App(Settings(redis_url="redis://localhost"))
    text = yaml.dump(
        app.api.openapi(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
    )
    if not check:
        path.write_text(text, "utf-8")
        return 0
    if path.is_file() and path.read_text("utf-8") == text:
        return 0
    typer.echo(f"{path} is not what the code describes; run: make openapi", err=True)
    return 1
