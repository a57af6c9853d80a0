"""A pool's settings as the JSON text that is stored, and back."""

import orjson

from dni_allocator.domain.conditions import Condition, Operator
from dni_allocator.domain.marketing import entry_of
from dni_allocator.domain.matching import Match, MatchFallback
from dni_allocator.domain.old_key import OldKey
from dni_allocator.domain.pool import (
    Format,
    Pool,
    PoolNumberType,
    PoolSettings,
    RefusedSee,
    Selection,
)
from dni_allocator.domain.routing import routing_of

_LISTS = (
    "destinations",
    "overflow_numbers",
    "allowed_origins",
    "traffic_sources",
    "qualify_outcomes",
)
_CONDITIONS = ("reserve_for", "serves")
_CHOICES = {
    "selection": Selection,
    "format": Format,
    "number_type": PoolNumberType,
    "match": Match,
    "match_fallback": MatchFallback,
    "refused_see": RefusedSee,
}


def dump(pool: Pool) -> bytes:
    """The document of a pool; equal for equal settings, whatever the revision."""
    return orjson.dumps(
        {
            "id": pool.id,
            "key": pool.key,
            "created_at": pool.created_at,
            "settings": pool.settings,
            **({"old_keys": pool.old_keys} if pool.old_keys else {}),
        }
    )


def load_pool(doc: str, *, revision: int) -> Pool:
    """Read a document. Settings that it does not have are those of an older version: defaults."""
    record = orjson.loads(doc)
    settings = {name: value for name, value in record["settings"].items() if value is not None}
    for name in _LISTS:
        settings[name] = tuple(settings.get(name, ()))
    for name in _CONDITIONS:
        settings[name] = tuple(
            Condition(each["field"], Operator(each["operator"]), tuple(each["values"]))
            for each in settings.get(name, ())
        )
    settings["marketing_fields"] = tuple(map(entry_of, settings.get("marketing_fields", ())))
    settings["routing"] = routing_of(settings.get("routing", {}))
    for name, choice in _CHOICES.items():
        if name in settings:
            settings[name] = choice(settings[name])
    return Pool(
        id=record["id"],
        key=record["key"],
        revision=revision,
        created_at=record["created_at"],
        settings=PoolSettings(**settings),
        old_keys=tuple(OldKey(**each) for each in record.get("old_keys", ())),
    )
