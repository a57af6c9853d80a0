"""How long scripts take as their callers see it, from sending to the reply; for the metrics."""

from typing import Final

from dni_allocator.metrics import Durations
from dni_allocator.store.scripts import name_of

_BEFORE_SHA: Final = b"EVALSHA\r\n$40\r\n"
_SHA_LENGTH: Final = 40
_HEAD: Final = 80
"""Bytes of a packed command that hold its name and the hash behind it."""

BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)


class ScriptTimes:
    """A histogram for each script of this package; anything else is not counted."""

    def __init__(self) -> None:
        self.by_script: dict[str, Durations] = {}

    def observe(self, sha: str, seconds: float) -> None:
        """Add one call."""
        name = name_of(sha)
        if name is None:
            return
        durations = self.by_script.get(name)
        if durations is None:
            durations = self.by_script[name] = Durations(BUCKETS_S)
        durations.observe(seconds)

    def observe_packed(self, command: bytes, seconds: float) -> None:
        """Add one call by the command as it was sent."""
        _, found, behind = command[:_HEAD].partition(_BEFORE_SHA)
        if found:
            self.observe(behind[:_SHA_LENGTH].decode("ascii", "replace"), seconds)
