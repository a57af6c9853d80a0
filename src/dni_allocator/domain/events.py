"""Events: one fact each, as the outbox keeps it and as the outside world reads it.

Owns the mapping from an outbox entry (short field names, texts) to an `Event`, and the payload of
Standard Webhooks. Knows neither who reads the outbox nor how the payload travels.

The short names of an entry: `t` type, `p` pool, `n` number, `v` visitor, `d` destination, `f`
fence, `w` when in ms, `s` start in ms, `r` reason, `g` when the number was released before in ms,
`o` the operator's traffic source, `x` captured data as JSON text, `j` what else the type has, a
JSON object.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from dni_allocator.domain.catalogue import KINDS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN: Final = frozenset("tpnvdfwsrgxjo")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. Texts are empty, and `started_ms` is None, where a type has no such thing.

    `id` is the same however often the event is sent: receivers store by it. `extra` has the entry
    fields of later versions, by the names they have there, and what the type has beyond these.
    """

    id: str
    type: str
    occurred_ms: int
    pool_id: str = ""
    number: str = ""
    visitor_id: str = ""
    destination: str = ""
    fence: str = ""
    reason: str = ""
    started_ms: int | None = None
    url: str = ""
    referrer: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def lease_id(self) -> str:
        """Id of the lease it is about, as `/assign` gave it; empty where there is none."""
        if not self.pool_id or not self.fence:
            return ""
        return f"lse_{self.pool_id.removeprefix('pool_')}_{self.fence}"

    def payload(self) -> dict[str, object]:
        """The body to send, as JSON can carry it: `type`, `timestamp` and `data`.

        Equal for equal events, so every attempt sends the same bytes. The shape is that of
        Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks (spec). Of a type
        in `domain.catalogue` the fields that stand there, of another one all there are.
        """
        data: dict[str, object] = {
            "event_id": self.id,
            "pool_id": self.pool_id,
            "number": self.number,
            "visitor_id": self.visitor_id,
            "destination": self.destination,
            "lease_id": self.lease_id,
            "reason": self.reason,
            "url": self.url,
            "referrer": self.referrer,
        }
        data = {name: value or None for name, value in data.items()}
        if self.started_ms is not None:
            data["started_at"] = iso_utc(self.started_ms)
            data["ended_at"] = iso_utc(self.occurred_ms)
        data["fields"] = dict(self.fields)
        for name, value in self.extra.items():
            data.setdefault(name, value)
        kind = KINDS.get(self.type)
        if kind is not None:
            shown = {"event_id": self.id}
            data = shown | {name: data.get(name) for name in kind.data if name != "event_id"}
        return {"type": self.type, "timestamp": iso_utc(self.occurred_ms), "data": data}


def from_entry(shard: int, entry_id: str, fields: Mapping[str, str]) -> Event:
    """Read an outbox entry. Never raises for what it says: a strange entry must not stop the rest.

    Unreadable captured data is passed on as `{"unreadable": text}`. Without a readable `w`, the
    event happened when it was written, which the entry id tells.
    """
    captured = _captured(fields.get("x", ""))
    told = captured.get("fields", {})
    occurred_ms = _milliseconds(fields.get("w", ""))
    if occurred_ms is None:
        occurred_ms = _milliseconds(entry_id.partition("-")[0]) or 0
    return Event(
        id=event_id(shard, entry_id),
        type=fields.get("t", "unknown"),
        occurred_ms=occurred_ms,
        pool_id=fields.get("p", ""),
        number=fields.get("n", ""),
        visitor_id=fields.get("v", ""),
        destination=fields.get("d", ""),
        fence=fields.get("f", ""),
        reason=fields.get("r", ""),
        started_ms=_milliseconds(fields.get("s", "")),
        url=str(captured.get("url", "")),
        referrer=str(captured.get("referrer", "")),
        fields=told if isinstance(told, dict) else {"unreadable": told},
        extra={
            **{name: value for name, value in fields.items() if name not in _KNOWN},
            **_facts(fields.get("j", "")),
        },
    )


def event_id(shard: int, entry_id: str) -> str:
    """The id receivers know an entry by, such as `evt_s3_1795344299544-0`."""
    return f"evt_s{shard}_{entry_id}"


def iso_utc(ms: int) -> str:
    """ISO 8601 in UTC with three decimals, such as `2026-11-23T07:56:15.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _milliseconds(text: str) -> int | None:
    # Redis writes scores as floats; years after 9999 cannot be written as a date.
    try:
        ms = int(float(text))
    except (ValueError, OverflowError):
        return None
    return ms if 0 <= ms <= 253_402_300_799_999 else None  # noqa: PLR2004 -- end of year 9999


def _facts(text: str) -> Mapping[str, object]:
    try:
        facts = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        facts = None
    return facts if isinstance(facts, dict) else {"unreadable": text}


def _captured(text: str) -> Mapping[str, object]:
    if not text:
        return {}
    try:
        captured = json.loads(text)
    except (ValueError, RecursionError):
        captured = None
    return captured if isinstance(captured, dict) else {"fields": {"unreadable": text}}
