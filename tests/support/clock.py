"""A clock that only moves when a test moves it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START_MS = 1_800_000_000_000
"""In January 2027; any instant would do, a round one reads well in a failure."""


@dataclass(slots=True)
class ManualClock:
    """Now, in ms since 1970; calling it gives the text that scripts take as `given_now`."""

    now_ms: int = START_MS

    def __call__(self) -> str:
        """The instant as `store.shards.Shards` wants it."""
        return str(self.now_ms)

    def advance(self, *, seconds: float = 0, ms: int = 0) -> int:
        """Let time pass; the new instant."""
        self.now_ms += round(seconds * 1000) + ms
        return self.now_ms

    def iso(self, *, seconds_ago: float = 0) -> str:
        """The instant, or one before it, as the HTTP API writes it."""
        moment = datetime.fromtimestamp(self.now_ms / 1000, tz=UTC)
        return (moment - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
