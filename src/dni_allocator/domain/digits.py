"""Whole numbers in what others wrote: cursors, lengths, quantities."""

from typing import Final

_OF_64_BITS: Final = 20
"""Digits."""


def whole(text: str) -> int | None:
    """The number of 64 bits that these ASCII digits write; None where they write none.

    `str.isdigit` takes `²` and `٣`, `int` takes `1_0` and refuses thousands of digits with an error
    of its own, and Redis takes nothing of all that.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _OF_64_BITS):
        return None
    number = int(text)
    return number if number < 1 << 64 else None
