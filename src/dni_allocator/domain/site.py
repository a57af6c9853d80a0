"""A site: several pools behind one publishable key, tried in order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`created_at` is ISO 8601 in UTC."""

    id: str
    key: str
    name: str
    pool_ids: tuple[str, ...]
    created_at: str
