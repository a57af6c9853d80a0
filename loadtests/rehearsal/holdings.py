"""Who certainly holds which number, as far as one load process can know.

A browser knows when it sent a request and when the answer came; the lock began somewhere between.
So a lease surely lives until *sent + expires_in*, and the lease of somebody else was surely made
before its answer *came*. Where the second lies before the first, two visitors held one number at
one instant, whatever the network did. What cannot be known for certain is not counted.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class _Hold:
    visitor: str
    until_s: float


class Holdings:
    """Numbers of one pool, by their surest holder."""

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}

    def clear(self) -> None:
        """Forget everybody."""
        self._holds.clear()

    def take(self, number: str, visitor: str, *, came_s: float, until_s: float) -> bool:
        """Note a leased number; False when somebody else certainly still held it."""
        held = self._holds.get(number)
        exclusive = held is None or held.visitor == visitor or held.until_s <= came_s
        self._holds[number] = _Hold(visitor, until_s)
        return exclusive

    def renew(self, numbers: list[str], visitor: str, *, until_s: float) -> None:
        """Note a sign of life that was answered."""
        for number in numbers:
            held = self._holds.get(number)
            if held is not None and held.visitor == visitor:
                held.until_s = until_s

    def let_go(self, numbers: list[str], visitor: str, *, sent_s: float) -> None:
        """Note that the last page is closing: from now on nothing is certain."""
        for number in numbers:
            held = self._holds.get(number)
            if held is not None and held.visitor == visitor:
                held.until_s = min(held.until_s, sent_s)

    def certain(self, number: str, visitor: str, *, at_s: float) -> bool:
        """Whether the number is surely this visitor's at this instant."""
        held = self._holds.get(number)
        return held is not None and held.visitor == visitor and at_s < held.until_s
