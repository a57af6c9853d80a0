"""Every type of event: what its payload holds, as JSON Schema, with an example.

Owns the published shape. One more type is one more entry of `KINDS`; `domain.events` sends the
fields that stand here, and the documents are generated from it. Within a version fields and reasons
are only added; what would break a receiver gets a new version, which is announced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Schema = Mapping[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_NUMBER: Final[Schema] = {"type": "string", "pattern": r"^\+[0-9]{7,15}$"}


def _text(description: str) -> Schema:
    return {**_TEXT, "description": description}


def _required(description: str) -> Schema:
    return {"type": "string", "description": description}


_LEASE: Final[Mapping[str, Schema]] = {
    "pool_id": _required("The pool of the number."),
    "number": {**_NUMBER, "description": "The leased number, E.164."},
    "visitor_id": _required("Whose number it is."),
    "destination": {**_NUMBER, "description": "The number the page originally showed, E.164."},
    "lease_id": _required("The lease, as `/assign` answered it."),
}
_TOLD: Final[Mapping[str, Schema]] = {
    "url": _text("The page; null: it told nothing."),
    "referrer": _text("Where the visitor came from; null: it told nothing."),
    "fields": {"type": "object", "description": "Marketing data the page told, flat."},
}
_CALL: Final[Mapping[str, Schema]] = {
    "call_id": _required("The call, as `POST /calls` answered it."),
    "provider": _text("Who carried the call."),
    "provider_call_id": _text("The call's name there."),
    "pool_id": _required("The pool of the number."),
    "number": {**_NUMBER, "description": "The dialed number, E.164."},
    "caller": _text("Who called, E.164; null: withheld."),
    "first_time_caller": {
        "type": "boolean",
        "description": "Nobody with this number called the pool before, as far as is remembered.",
    },
    "destination": {**_NUMBER, "description": "Where the call belongs, E.164."},
    "status": _required("`ringing`, `answered`, `completed`, `busy`, `no_answer`, …"),
    "started_at": {**_MOMENT, "description": "When it rang."},
    "answered_at": {"type": ["string", "null"], "format": "date-time"},
    "ended_at": {"type": ["string", "null"], "format": "date-time"},
    "duration_s": {"type": ["integer", "null"], "description": "How long they talked."},
    "basis": _required("What the attribution rests on: `live`, `ended`, `none`, …"),
    "confidence": {"type": "number", "description": "How sure it is, 0 to 1."},
    "visitor_id": _text("Whose number it was; null: nobody is known."),
    "lease_id": _text("Their lease; null: none, or a shared number."),
    "source": _text("Where the visit came from: `google`, `organic`, `direct`, …"),
    "source_name": _text("The same more closely: a site, a campaign."),
    "source_id": _text("Your traffic source that reports it; null: none does."),
    "medium": _text("Whether it was paid for: `paid`, `organic`, `email`, …"),
    "outcome": _text("What came of it, in the words of whoever said so."),
    "value": {"type": ["number", "null"], "description": "What it was worth."},
    "currency": _text("ISO 4217."),
    "recording_url": _text("Where the recording is."),
    "qualified": {"type": "boolean", "description": "The pool's rule holds, or held once."},
    **_TOLD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type of event. `data` are the fields of `data` in their order, `event_id` left out.

    `example` is an outbox entry, as `domain.events.from_entry` reads it.
    """

    type: str
    version: int
    summary: str
    data: Mapping[str, Schema]
    example: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Where the schema is published, below docs/schemas."""
        return f"{self.type}.v{self.version}.json"

    def schema(self) -> dict[str, object]:
        """The JSON Schema of the payload (draft 2020-12)."""
        data = {"event_id": _required("The same however often it is sent."), **self.data}
        return {
            "$schema": DIALECT,
            "$id": f"urn:dni-allocator:event:{self.type}:v{self.version}",
            "title": self.type,
            "description": self.summary,
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"const": self.type},
                "timestamp": {**_MOMENT, "description": "When it happened."},
                "data": {
                    "type": "object",
                    "required": list(data),
                    "properties": {name: dict(each) for name, each in data.items()},
                },
            },
        }


_ENTRY: Final = {
    "p": "pool_jxf0pv7gvgd81b0w", "n": "+16025550103", "v": "visitor-1", "d": "+16025550142",
    "f": "1", "x": '{"url":"https://shop.example/?gclid=EAIa","fields":{"gclid":"EAIa"}}',
}  # fmt: skip

_CALL_ENTRY: Final = {
    **_ENTRY,
    "w": "1795423107109",
    "j": '{"call_id":"call_jxf0pv7gvgd81b0w_8s1c0v5m3k2z7q9d","caller":"+16025550177",'
    '"first_time_caller":true,"status":"completed","started_at":"2026-11-23T08:38:27.109Z",'
    '"duration_s":95,"basis":"live","confidence":1.0,"source":"google","source_name":"google",'
    '"medium":"paid","value":100.0,"currency":"USD","qualified":true}',
}


def _call(kind: str, summary: str) -> "Kind":
    return Kind(
        type=kind, version=1, summary=summary, data=_CALL, example={**_CALL_ENTRY, "t": kind}
    )


_KINDS: Final = (
    Kind(
        type="number.assigned",
        version=1,
        summary="A visitor got a lease. Renewals are no events.",
        data={**_LEASE, "reason": _required("`new`, or `returned`: they had it before."), **_TOLD},
        example={**_ENTRY, "t": "number.assigned", "w": "1795423107109", "r": "new"},
    ),
    Kind(
        type="lease.ended",
        version=1,
        summary="A visitor's lock of a number ended.",
        data={
            **_LEASE,
            "reason": _required("Why: `closed`, `idle`, … More may be added."),
            "url": _TOLD["url"],
            "referrer": _TOLD["referrer"],
            "started_at": {**_MOMENT, "description": "When the lease began."},
            "ended_at": {**_MOMENT, "description": "The instant the lock ended."},
            "fields": _TOLD["fields"],
        },
        example={
            **_ENTRY,
            "t": "lease.ended",
            "w": "1795423137176",
            "s": "1795423107109",
            "r": "closed",
        },
    ),
    _call("call.started", "A call was recorded, with the attribution it has from then on."),
    _call("call.updated", "Something became known of a call, beyond what the other events say."),
    _call("call.completed", "A call is over, answered or not: see `status`. Once a call."),
    _call("call.qualified", "A call met its pool's rule for a good one. Once a call."),
    Kind(
        type="number.leaked",
        version=1,
        summary="Strangers dial a number: it stands in print, in a cache, in an index. Once a day.",
        data={
            "pool_id": _LEASE["pool_id"],
            "number": {**_NUMBER, "description": "The dialed number, E.164."},
            "reason": _required(
                "`no_holder`: nobody had it within the window; `many_callers`: on one lease."
            ),
            "callers": {"type": "integer", "description": "Different callers within a day."},
            "call_id": _required("The call that made it clear."),
            "visitor_id": _text("Whose lease it was."),
            "lease_id": _text("That lease."),
        },
        example={
            "t": "number.leaked",
            "p": "pool_jxf0pv7gvgd81b0w",
            "n": "+16025550103",
            "w": "1795423137176",
            "r": "no_holder",
            "j": '{"callers":1,"call_id":"call_jxf0pv7gvgd81b0w_8s1c0v5m3k2z7q9d"}',
        },
    ),
    Kind(
        type="visitor.erased",
        version=1,
        summary="Erase what you have of this visitor, and what still comes of before.",
        data={"visitor_id": _required("Whom to erase.")},
        example={"t": "visitor.erased", "w": "1795423137176", "v": "visitor-1"},
    ),
    Kind(
        type="endpoint.disabled",
        version=1,
        summary="A webhook endpoint gets no more events: tell the other endpoints, and a person.",
        data={
            "endpoint_id": _required("The endpoint that was disabled."),
            "reason": _required("`gone` (410), `failing` (five days of it), `operator`."),
        },
        example={
            "t": "endpoint.disabled",
            "w": "1795423137176",
            "endpoint_id": "whe_2f0c8d1e",
            "r": "failing",
        },
    ),
    Kind(
        type="purchase.ended",
        version=1,
        summary="An order of numbers came to its end.",
        data={
            "pool_id": _required("The pool the numbers are for."),
            "purchase_id": _required("The order, as `/purchases` has it."),
            "vendor": _required("Whose numbers."),
            "reason": _required("`done`, `partial`, `failed` or `cancelled`."),
            "quantity": _required("How many were wanted."),
            "attached": _required("How many serve the pool now."),
            "problem": _text("Why not all, in a word; null: all came."),
        },
        example={
            "t": "purchase.ended",
            "p": "pool_jxf0pv7gvgd81b0w",
            "w": "1795423137176",
            "r": "partial",
            "purchase_id": "pur_jxf0pv7gvgd81b0w_3c9d2k7m1q8v5x0z",
            "vendor": "twilio",
            "quantity": "20",
            "attached": "17",
            "problem": "out_of_stock",
        },
    ),
    Kind(
        type="autoscale.decided",
        version=1,
        summary="A pool should grow or shrink; sent again when its state changes.",
        data={
            "pool_id": _required("The pool."),
            "decision_id": _required("The decision, as `/autoscale` has it."),
            "action": _required("`grow`, `shrink`, or `stay` where it may not."),
            "state": _required("`proposed`, `approved`, `applied`, `blocked`, … More may come."),
            "size": {"type": "integer", "description": "Numbers in circulation and on order."},
            "needed": {"type": "integer", "description": "Numbers the pool should have."},
            "buy": {"type": "integer", "description": "To be bought."},
            "recall": {"type": "integer", "description": "To be taken back from their rest."},
            "release": {"type": "integer", "description": "To be let go."},
            "purchase_id": _text("The order that follows; null: none, or not yet."),
            "reasons": {
                "type": "array",
                "description": "Why: a stable word and a sentence each.",
                "items": {
                    "type": "object",
                    "required": ["code", "detail"],
                    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
                },
            },
        },
        example={
            "t": "autoscale.decided",
            "p": "pool_jxf0pv7gvgd81b0w",
            "w": "1795423137176",
            "j": '{"decision_id":"dec_jxf0pv7gvgd81b0w_8m2n4p6q1r3s5t7v","action":"grow",'
            '"state":"applied","size":20,"needed":26,"buy":4,"recall":0,"release":0,'
            '"purchase_id":"pur_jxf0pv7gvgd81b0w_8m2n4p6q1r3s5t7v","reasons":[{"code":"load",'
            '"detail":"The load is 17.2, which needs 26 numbers."},{"code":"step",'
            '"detail":"6 are missing, 4 are one step."}]}',
        },
    ),
    Kind(
        type="endpoint.test",
        version=1,
        summary="Somebody tests the endpoint. Sent to that endpoint only, outside the outbox.",
        data={"endpoint_id": _required("The endpoint that is tested.")},
        example={"t": "endpoint.test", "w": "1795423137176", "endpoint_id": "whe_2f0c8d1e"},
    ),
)

KINDS: Final[Mapping[str, Kind]] = {kind.type: kind for kind in _KINDS}
"""By type, in the order in which the documents show them."""
