"""What one run does: how long, how often, which rows. Pure."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The options of a run. `only` empty: everything."""

    seconds: float = 3.0
    rounds: int = 5
    short: bool = False
    wrk: bool = True
    only: frozenset[str] = frozenset()

    def wants(self, *names: str) -> bool:
        """Whether any of these rows is asked for."""
        return not self.only or any(name in self.only for name in names)

    def wanted(self, names: Collection[str]) -> list[str]:
        """Those of these rows that are asked for, in their order."""
        return [name for name in names if self.wants(name)]

    def scaled(self, count: int, *, short: int) -> int:
        """An amount of data: less of it in the short mode."""
        return short if self.short else count
