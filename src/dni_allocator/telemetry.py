"""Logs: how a line looks, and what never gets into one. A leaf.

Lines of structlog and of `logging` (uvicorn, asyncio, libraries) take the same way: masked last, so
that nothing is added behind the mask. Of an exception the places and the kinds are told; the words
of a foreign one may repeat what somebody sent, so of those only what cannot name anybody stays.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Literal

import structlog

from dni_allocator.domain.errors import DniError

_PHONE = re.compile(r"(?<![\w.:-])(?:\+|%2[Bb])\d{6,15}(?!\d)")
_KEY = re.compile(r"\b(sk|pk|whsec|whsk|whpk)_[A-Za-z0-9+/=_-]{8,}")
_TELLING = re.compile(r"[A-Za-z0-9_~+%@=&?-]{16,}|\S*@\S+|\+?\d{6,}")
"""In the words of a foreign exception: ids, keys, addresses, numbers, whatever they are."""

_DEEPEST = 6

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def masked(text: str) -> str:
    """A text with the last four digits left of every phone number, and no key (ASVS 16.2.5)."""
    if "+" in text or "%2" in text:
        text = _PHONE.sub(lambda found: "…" + found[0][-4:], text)
    if "_" in text:
        text = _KEY.sub(lambda found: f"{found[1]}_…", text)
    return text


def mask_numbers(
    _: object, __: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Mask every text of an event, however deep it lies."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = _masked(value, _DEEPEST)
    return event


def _masked(value: object, deeper: int) -> object:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if deeper == 0:
        return "…"
    if isinstance(value, Mapping):
        return {masked(str(name)): _masked(each, deeper - 1) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked(each, deeper - 1) for each in value]
    return masked(str(value))


def told_exception(exc_info: ExcInfo) -> str:
    """An exception with where it came from, and no words that could name anybody."""
    chain: list[BaseException] = []
    link: BaseException | None = exc_info[1]
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    told = []
    for each in reversed(chain):
        told += ["Traceback (most recent call last):\n", *traceback.format_tb(each.__traceback__)]
        told.append(f"{type(each).__module__}.{type(each).__qualname__}: {_words(each)}\n")
    return "".join(told).rstrip()


def _reserved(
    _: object, __: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """What a library says may repeat what somebody sent: asyncio tells whole exceptions."""
    event["event"] = _TELLING.sub("…", str(event.get("event", "")))
    return event


def _words(error: BaseException) -> str:
    if isinstance(error, DniError):
        return error.detail
    first = str(error).partition("\n")[0][:200]
    return _TELLING.sub("…", first)


def configure_logging(*, style: Literal["console", "json"], level: str) -> None:
    """Set up structlog and logging for this process; lines go to standard error. Repeatable."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(told_exception),
        mask_numbers,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _reserved, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if getattr(each, "of_dni", False)]:
        root.removeHandler(old)
    handler.of_dni = True  # type: ignore[attr-defined]  # told from those of a test run
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
