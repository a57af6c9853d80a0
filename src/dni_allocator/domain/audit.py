"""The audit log: who changed what, when. Names and ids, never a value, a secret or a person."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ID = re.compile(r"[a-z]{2,8}_[0-9a-z_]{1,60}")
_NUMBER = re.compile(r"(?:\+|%2B)?\d{6,15}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")
WITHHELD = "…"
_OF_PEOPLE = frozenset({"visitor_id"})
"""A visitor's id is the client's own text, and may look like one of our ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change. `id` is its place in the log; empty while it is not written.

    `key_id`: whose key; `action`: `PATCH /pools/{pool_id}`, or a command; `about`: the ids in the
    path and that of what was made; `changed`: the names of the fields that were sent.
    """

    key_id: str
    action: str
    about: Mapping[str, str]
    changed: tuple[str, ...] = ()
    status: int = 0
    at_ms: int = 0
    id: str = ""


def told_of(values: Mapping[str, object]) -> dict[str, str]:
    """Parts of a path as the log may keep them: our own ids, the end of a number, else nothing."""
    return {
        name: WITHHELD if name in _OF_PEOPLE else _told(str(value))
        for name, value in values.items()
    }


def field_names(names: Iterable[object]) -> tuple[str, ...]:
    """The names that can be fields of ours, in order; whatever else was sent may be personal."""
    return tuple(sorted(str(name) for name in names if _FIELD.fullmatch(str(name))))[:64]


def _told(value: str) -> str:
    if _ID.fullmatch(value):
        return value
    return WITHHELD + value[-4:] if _NUMBER.fullmatch(value) else WITHHELD
