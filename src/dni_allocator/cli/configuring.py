"""What is configured: `config check`, `config show`, and the table of all settings."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from dni_allocator.app import App
from dni_allocator.cli.running import load_settings, tell_unknown
from dni_allocator.domain.errors import DniError
from dni_allocator.settings import Settings, variable_of

_REDACTED = "(set, not shown)"


def check() -> int:
    """Read the settings as a start would, and take them apart; nothing is reached. Exit status."""
    settings = load_settings()
    tell_unknown()
    try:
        App(settings.model_copy(update={"redis_url": settings.redis_url or "unix:///nowhere"}))
    except DniError as error:
        typer.echo(f"dni-allocator: {error.detail}", err=True)
        return 2
    typer.echo("The settings are fine.")
    return 0


def show() -> None:
    """Print every setting, its value (no secret), and where it comes from."""
    settings = load_settings()
    tell_unknown()
    width = max(len(variable_of(name)) for name in Settings.model_fields)
    for name in Settings.model_fields:
        variable = variable_of(name)
        typer.echo(f"{variable:{width}}  {_shown(getattr(settings, name))}  [{_source(variable)}]")


def settings_table() -> str:
    """The table of all settings for docs/operations.md."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default else "(none)"
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{variable_of(name)}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None or value == "":
        return "(none)"
    if isinstance(value, SecretStr):
        return _REDACTED
    text = str(value)
    if "@" in text and "://" in text:
        parts = urlsplit(text)
        _, _, host = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"***@{host}").geturl()
    return text


def _source(variable: str) -> str:
    if os.environ.get(variable) is not None:
        return "environment"
    if os.environ.get(f"{variable}_FILE"):
        return "file"
    folder = os.environ.get("DNI_SECRETS_DIR")
    if folder and any(each.name.upper() == variable for each in Path(folder).iterdir()):
        return "secrets directory"
    return "default"
