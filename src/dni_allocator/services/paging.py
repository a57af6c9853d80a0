"""Lists a page at a time, and the cursors that say where one goes on.

A cursor is a number and a name, packed: nobody but us reads it, so what is in it may change.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

from dni_allocator.domain.digits import whole
from dni_allocator.domain.errors import InvalidRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where to go on; None: these were all."""

    items: tuple[T, ...]
    next_cursor: str | None


def packed(at: int, name: str = "") -> str:
    """The cursor of a place."""
    return base64.urlsafe_b64encode(f"{at} {name}".encode()).decode().rstrip("=")


def unpacked(cursor: str) -> tuple[int, str]:
    """The place a cursor was made of. Raises `InvalidRequest` for one that is not ours."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        raise not_ours() from None
    number, blank, name = text.partition(" ")
    at = whole(number)
    if at is None or not blank or not name.isprintable():
        raise not_ours()
    return at, name


def not_ours() -> InvalidRequest:
    """What is said of a cursor that no answer of this service held."""
    return InvalidRequest.at("cursor", "Not a cursor of an earlier answer.")
