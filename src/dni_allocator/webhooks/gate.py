"""How much an endpoint is sent at once, and when it is left alone.

One gate per endpoint and process, shared by its lanes. An endpoint that fails several times in a
row is paused: after a wait that grows, one event is sent as a probe, and its success opens the
gate. So a dead endpoint costs a request now and then, and its events stay in the outbox rather
than piling up as retries. A rate limit spreads requests evenly. Knows no event, no network; the
clock is given.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_GROWTH: Final = 2.0
_SPREAD: Final = 0.2


class Gate:
    """Admission to one endpoint. Times are seconds of `clock`, which must not go back."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        concurrency: int = 32,
        most_failures: int = 5,
        first_pause_s: float = 5.0,
        longest_pause_s: float = 300.0,
    ) -> None:
        self._clock = clock
        self._random = random
        self._concurrency = concurrency
        self._most_failures = most_failures
        self._pause_s = self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._rate = 0.0
        self._free_at = clock()
        self._in_flight = 0
        self._failures = 0
        self._paused_until = 0.0
        self._asked_until = 0.0
        self._refused: set[asyncio.Event] = set()

    def limit(self, per_second: float) -> None:
        """Let so many through a second, evenly; 0: as many as come."""
        self._rate = per_second

    @property
    def paused(self) -> bool:
        """Whether only probes are let through."""
        return self._failures >= self._most_failures

    def enter(self, wake: asyncio.Event) -> bool:
        """Ask to send one event; True must be followed by `leave`.

        False: `wake` is set when it may be worth asking again, or ask after `wait_s`.
        """
        most = 1 if self.paused else self._concurrency
        if self._in_flight >= most or self.wait_s() > 0:
            self._refused.add(wake)
            return False
        self._in_flight += 1
        if self._rate:
            # What was not used in the last second is not made up for.
            self._free_at = max(self._free_at, self._clock() - 1) + 1 / self._rate
        return True

    def leave(self, *, taken: bool, retry_after_s: float | None = None) -> None:
        """Tell how it went. `retry_after_s`: the receiver asked to be left alone for so long."""
        now = self._clock()
        was_probe = self.paused and self._in_flight == 1 and now >= self._paused_until
        self._in_flight -= 1
        if taken:
            self._failures, self._paused_until = 0, 0.0
            self._pause_s = self._first_pause_s
        else:
            self._failures += 1
            if self._failures == self._most_failures:
                self._pause(now)
            elif was_probe:
                self._pause_s = min(self._pause_s * _GROWTH, self._longest_pause_s)
                self._pause(now)
        if retry_after_s is not None:
            self._asked_until = max(self._asked_until, now + retry_after_s)
        self._wake_refused()

    def abandon(self) -> None:
        """Instead of `leave`, for a delivery that was broken off: it tells nothing."""
        self._in_flight -= 1
        self._wake_refused()

    def wait_s(self) -> float:
        """Seconds until it is worth asking again, as far as the clock decides; 0: now."""
        until = max(self._paused_until, self._asked_until)
        if self._rate:
            until = max(until, self._free_at)
        return max(0.0, until - self._clock())

    def _wake_refused(self) -> None:
        refused, self._refused = self._refused, set()
        for wake in refused:
            wake.set()

    def _pause(self, now: float) -> None:
        spread = 1 - _SPREAD + 2 * _SPREAD * self._random()
        self._paused_until = now + self._pause_s * spread
