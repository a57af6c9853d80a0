"""Clocks that jump: libfaketime in front of one process, whose clock a test then moves.

Only the clock that tells the date moves, as when somebody sets it; the one that only counts on,
which timers use, does not. It needs no privilege, only the library.
"""

import sys
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from shlex import quote
from typing import Final

from tests.support import debian

_PLACES: Final = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/opt/homebrew/lib/faketime/libfaketimeMT.1.dylib",
    "/usr/local/lib/faketime/libfaketimeMT.*",
)
_PRELOAD: Final = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"


def faketime_path() -> Path:
    """Where the library is.

    Raises:
        AssertionError: Nowhere; says what to install.
    """
    for place in _PLACES:
        for found in sorted(glob(place)):  # noqa: PTH207 - absolute patterns
            return Path(found)
    raise AssertionError("no libfaketime: apt-get install faketime, or brew install libfaketime")


def ensure_faketime() -> Path:
    """As `faketime_path`, but install Debian's package first where there is none. Idempotent."""
    try:
        return faketime_path()
    except AssertionError:
        if not debian.can_install():
            raise
    debian.install("faketime")
    return faketime_path()


@dataclass(slots=True)
class JumpingClock:
    """The clock of processes that were started with `environment` or by `wrapper`."""

    room: Path
    ahead_s: float = 0.0

    def __post_init__(self) -> None:
        """Begin at the true time."""
        self.room.mkdir(parents=True, exist_ok=True)
        self.jump(0)

    @property
    def _told(self) -> Path:
        return self.room / "ahead"

    def jump(self, seconds: float) -> None:
        """Put it forward, or back. A process sees it some readings of its clock later."""
        self.ahead_s += seconds
        news = self.room / "ahead.new"
        news.write_text(f"{self.ahead_s:+f}\n")
        news.replace(self._told)

    @property
    def environment(self) -> dict[str, str]:
        """What a process is started with."""
        return {
            _PRELOAD: str(faketime_path()),
            "FAKETIME_TIMESTAMP_FILE": str(self._told),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def wrapper(self, program: Path) -> Path:
        """A program that is `program` under this clock."""
        script = self.room / program.name
        lines = [f"export {name}={quote(text)}" for name, text in self.environment.items()]
        # `exec`, so that the pid stays: whoever starts a server signals it.
        text = "\n".join(["#!/bin/sh", *lines, f'exec {quote(str(program))} "$@"', ""])
        script.write_text(text)
        script.chmod(0o700)
        return script
