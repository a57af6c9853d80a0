"""Logs: how a line looks, and what never gets into one. A leaf."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Literal

import structlog

_PHONE = re.compile(r"\+\d{6,15}")


def mask_numbers(
    _: object, __: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Leave the last four digits of every phone number in a log line (ASVS 16.2.5)."""
    for name, value in event.items():
        if isinstance(value, str) and "+" in value:
            event[name] = _PHONE.sub(lambda found: "…" + found[0][-4:], value)
    return event


def configure_logging(*, style: Literal["console", "json"], level: str) -> None:
    """Set up structlog for this process; lines go to standard error. Safe to repeat."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_numbers,
    ]
    if style == "json":
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
