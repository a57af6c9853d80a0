"""A site: several pools behind one publishable key, tried in order."""

from dataclasses import dataclass

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
