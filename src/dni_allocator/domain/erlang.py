"""Erlang's loss formula: how often all numbers are taken, from load and size alone.

Pure arithmetic. The formula holds for random (Poisson) arrivals whatever the lengths of leases, and
for visitors who do not come back at once when they find none (A. K. Erlang, 1917; its insensitivity
to holding times: B. A. Sevastyanov, 1957). Load is in erlangs: arrivals a second × seconds held.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

MOST_LOAD: Final = 100_000.0
"""Above it a table would take seconds; nobody has so many visitors on one pool."""

_LOAD_STEPS: Final = 60
_NOTHING: Final = 1e-20


def blocking(load: float) -> Iterator[float]:
    """The share turned away with 0, 1, 2, … numbers, without end. O(1) each.

    B(0) = 1; B(n) = load·B(n−1) / (n + load·B(n−1)): no factorials, so nothing overflows.
    """
    share, numbers = 1.0, 0
    while True:
        yield share
        numbers += 1
        share = load * share / (numbers + load * share)


def erlang_b(load: float, numbers: int) -> float:
    """The share of visitors turned away, 0 to 1; below 1e-20 some share above it. O(numbers)."""
    last = 1.0
    for count, share in enumerate(blocking(load)):
        last = share
        if count == numbers or share < _NOTHING:
            break
    return last


def numbers_for(load: float, target: float) -> int:
    """The fewest numbers with at most `target` (above 0) turned away. O(result)."""
    for numbers, share in enumerate(blocking(load)):
        if share <= target:
            return numbers
    raise AssertionError  # pragma: no cover -- without end


def load_for(numbers: int, target: float) -> float:
    """The most load that so many numbers carry with at most `target` turned away, erlangs."""
    if numbers == 0 or target <= 0:
        return 0.0
    low, high = 0.0, numbers / (1 - target) + 1 if target < 1 else math.inf
    if math.isinf(high):
        return high
    for _ in range(_LOAD_STEPS):
        middle = (low + high) / 2
        if erlang_b(middle, numbers) <= target:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class Chances:
    """How likely the counts from `first` on are; all others are as good as impossible."""

    first: int
    each: Sequence[float]
    beyond: Sequence[float]
    """How likely it is to reach them."""

    def at_least(self, count: int) -> float:
        """How likely it is to reach `count`. O(1)."""
        at = max(0, count - self.first)
        return self.beyond[at] if at < len(self.beyond) else 0.0


def taken(load: float, numbers: int) -> Chances:
    """How many of `numbers` are taken, seen at any time: Poisson's distribution, cut off. O(√load).

    From the likeliest outwards, until it is nothing, so that no load overflows.
    """
    mode = min(numbers, int(load))
    below, above = [1.0], list[float]()
    for busy in range(mode, 0, -1):
        weight = below[-1] * busy / load if load > 0 else 0.0
        if weight < _NOTHING:
            break
        below.append(weight)
    weight = 1.0
    for busy in range(mode + 1, numbers + 1):
        weight *= load / busy
        if weight < _NOTHING:
            break
        above.append(weight)
    weights = [*reversed(below), *above]
    total = math.fsum(weights)
    each = [weight / total for weight in weights]
    beyond = list(accumulate(reversed(each)))[::-1]
    return Chances(mode - len(below) + 1, each, beyond)


def arriving(mean: float) -> Chances:
    """How many come where so many come on average: Poisson's distribution. O(√mean)."""
    return taken(mean, int(mean + 20 * math.sqrt(mean)) + 40)
