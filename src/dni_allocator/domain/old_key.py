"""A publishable key that was replaced and works on for a while: pages keep it in caches."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OldKey:
    """`until_ms`: when it stops opening anything."""

    key: str
    until_ms: int
