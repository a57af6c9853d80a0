"""Records that operators edit, those of a kind in one hash: nobody writes over what they missed."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute, load

_EDIT: Final = load("record_edit")


class Record(Protocol):
    """What is stored as text; equal records give equal texts."""

    @property
    def id(self) -> str:
        """The field it has in the hash."""

    def to_json(self) -> str:
        """The record to store."""


R = TypeVar("R", bound=Record)


class Edited(StrEnum):
    """What became of an edit."""

    OK = "OK"
    CONFLICT = "CONFLICT"
    """Somebody else edited it meanwhile."""
    GONE = "GONE"


async def edit_record(
    execute: Execute, records: str, *, seen: R, wanted: R, read: Callable[[str], R]
) -> Edited:
    """Write a record over the one the editor has read. Safe to repeat."""
    told = seen.to_json()
    while True:
        reply = await _EDIT.run(
            execute,
            {"records": records, "id": seen.id, "seen": told, "record": wanted.to_json()},
        )
        outcome = Edited(text(reply[0]))
        if outcome is not Edited.CONFLICT:
            return outcome
        current = text(reply[1])
        # A version that knew fewer fields spelled the same record otherwise.
        if told != seen.to_json() or read(current) != seen:
            return outcome
        told = current
