"""A publishable key that was replaced and works on for a while: pages keep it in caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_OLD_KEYS: Final = 5
"""Replaced keys that may still work; one more ends the oldest."""


@dataclass(frozen=True, slots=True)
class OldKey:
    """`until_ms`: when it stops opening anything."""

    key: str
    until_ms: int


def replaced(
    key: str, before: Sequence[OldKey], *, now_ms: int, overlap_s: int
) -> tuple[tuple[OldKey, ...], tuple[OldKey, ...]]:
    """The old keys when `key` is replaced too: those that work on, latest first, and the rest."""
    old = (OldKey(key, now_ms + overlap_s * 1000), *before)
    living = tuple(each for each in old if each.until_ms > now_ms)[:MOST_OLD_KEYS]
    return living, tuple(each for each in old if each not in living)
