"""Copies of events that wait beside the outbox: for a retry, or as dead letters.

A copy, because its original may be trimmed meanwhile. Owns the form of one, and nothing else.
"""

import orjson

from dni_allocator.domain.delivery import Entry


def packed_copy(entry: Entry, *, note: str = "") -> bytes:
    """An entry with its attempts and the reason of the last failure, in a word."""
    return orjson.dumps({"attempts": entry.attempts, "note": note, "fields": dict(entry.fields)})


def unpacked_copy(entry_id: str, shard: int, copy: bytes) -> tuple[Entry, str]:
    """The entry and the note of a copy; of an empty one an entry without fields."""
    record = orjson.loads(copy or b"{}")
    entry = Entry(entry_id, shard, record.get("fields", {}), record.get("attempts", 0))
    return entry, record.get("note", "")
