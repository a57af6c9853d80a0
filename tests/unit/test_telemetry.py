"""What never gets into a log line, wherever it stands."""

import json
import subprocess
import sys

import pytest

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.telemetry import mask_numbers, masked, told_exception

NUMBER, VISITOR = "+16025550142", "Zk3qTn8vWx0yBc5dEf7gHi"
SECRET = "sk_" + "Ab1" * 12


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (NUMBER, "…0142"),
        (f"from {NUMBER}, to %2B442071838750.", "from …0142, to …8750."),
        (f"key={SECRET}", "key=sk_…"),
        ("whsec_abcdefghij+/=", "whsec_…"),
        ("a+1 b+22 2026-11-25T22:00:00+00:00", "a+1 b+22 2026-11-25T22:00:00+00:00"),
    ],
)
def test_numbers_and_keys_are_masked(text: str, kept: str) -> None:
    """The last four digits stay, to tell numbers apart; times are no numbers."""
    assert masked(text) == kept


def test_the_mask_reaches_every_depth() -> None:
    """Lists, mappings, their keys, and objects that only have a text."""
    event: dict[str, object] = {
        "event": NUMBER,
        "deep": [{"a": (NUMBER, {NUMBER: 1})}, ValueError(NUMBER)],
        "count": 16025550142,
    }

    told = json.dumps(mask_numbers(None, "info", event), ensure_ascii=False)

    assert NUMBER[:-4] not in told.replace("16025550142", "")
    assert told.count("…0142") == 4


def _caught(error: Exception) -> str:
    try:
        raise error
    except type(error) as raised:
        return told_exception((type(raised), raised, raised.__traceback__))


def test_a_foreign_exception_tells_its_kind_and_place() -> None:
    """Its words may repeat what somebody sent: ids, numbers, addresses, secrets go."""
    told = _caught(ValueError(f"bad {VISITOR} of ann@shop.example {NUMBER} {SECRET}\nline two"))

    assert "test_telemetry.py" in told
    assert "builtins.ValueError: bad … of … … …" in told
    assert "line two" not in told


def test_our_own_sentences_stay() -> None:
    """They never repeat a value, and say what is wrong."""
    assert _caught(StoreUnavailable("The store does not answer.")).endswith(
        "StoreUnavailable: The store does not answer."
    )


def test_a_cause_is_told_as_carefully() -> None:
    """The whole chain, each link by the same rule."""
    error = RuntimeError("over")
    error.__cause__ = KeyError(VISITOR)

    told = _caught(error)

    assert "KeyError" in told
    assert "RuntimeError: over" in told
    assert VISITOR not in told


PROGRAM = f"""
import logging, structlog
from dni_allocator.telemetry import configure_logging
configure_logging(style="STYLE", level="info")
structlog.get_logger().info("ours", number="{NUMBER}", nested=["{NUMBER}"])
logging.getLogger("asyncio").error("Task failed: %r", ValueError("{VISITOR} {NUMBER}"))
private = "{VISITOR}"
try:
    int(private)
except ValueError:
    structlog.get_logger().exception("broken")
    logging.getLogger("uvicorn.error").exception("broken too")
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_lines_of_libraries_take_the_same_way(style: str) -> None:
    """Neither a local variable nor the words of a library end up in the log."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("STYLE", style)],
        capture_output=True,
        text=True,
        check=True,
    ).stderr

    assert told.count("ValueError") >= 3
    assert "uvicorn.error" in told
    for private in (VISITOR, NUMBER, NUMBER[1:-4]):
        assert private not in told
    if style == "json":
        lines = [json.loads(line) for line in told.splitlines()]
        assert [line["level"] for line in lines] == ["info", "error", "error", "error"]
