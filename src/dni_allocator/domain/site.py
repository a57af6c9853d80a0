"""A site: several pools behind one publishable key, tried in order."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from dni_allocator.domain.old_key import OldKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`created_at` is ISO 8601 in UTC."""

    id: str
    key: str
    name: str
    pool_ids: tuple[str, ...]
    created_at: str
    old_keys: tuple[OldKey, ...] = ()
    """Keys before this one that work on for a while."""

    def to_json(self) -> str:
        """The record to store."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a stored record."""
        told = json.loads(text)
        old_keys = tuple(OldKey(**each) for each in told.get("old_keys", ()))
        return cls(**{**told, "pool_ids": tuple(told["pool_ids"]), "old_keys": old_keys})
