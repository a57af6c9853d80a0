"""Advertisers' systems, played: each takes only what its vendor documents.

The schemas are written after the vendors' pages (they are named in the modules of `conversions`),
not after our builders: what is not documented is refused.
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

from tests.support.receiver import Delivery

_GA4_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,39}$"
_CONSENT = {"enum": ["GRANTED", "DENIED"]}

GA4: dict[str, Any] = {
    "type": "object",
    "required": ["client_id", "events"],
    "additionalProperties": False,
    "properties": {
        "client_id": {"type": "string", "pattern": r"^\d{1,10}\.\d{1,10}$"},
        "user_id": {"type": "string", "maxLength": 256},
        "timestamp_micros": {"type": "integer", "minimum": 10**15, "maximum": 10**16 - 1},
        "consent": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"ad_user_data": _CONSENT, "ad_personalization": _CONSENT},
        },
        "events": {
            "type": "array",
            "minItems": 1,
            "maxItems": 25,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {
                        "pattern": _GA4_NAME,
                        "not": {"enum": ["session_start", "first_visit", "user_engagement"]},
                    },
                    "params": {
                        "type": "object",
                        "maxProperties": 25,
                        "propertyNames": {
                            "pattern": _GA4_NAME,
                            "not": {"pattern": "^(_|firebase_|ga_|google_)"},
                        },
                        "additionalProperties": {
                            "anyOf": [{"type": "number"}, {"type": "string", "maxLength": 100}]
                        },
                        "properties": {
                            "session_id": {"type": "string", "pattern": r"^\d+$"},
                            "value": {"type": "number"},
                            "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
                        },
                        "dependentRequired": {"value": ["currency"]},
                    },
                },
            },
        },
    },
}

_SHA256 = {"type": "array", "minItems": 1, "items": {"pattern": "^[0-9a-f]{64}$"}}

META: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "test_event_code": {"type": "string", "minLength": 1},
        "data": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "type": "object",
                "required": ["event_name", "event_time", "user_data", "action_source"],
                "additionalProperties": False,
                "properties": {
                    "event_name": {"type": "string", "minLength": 1},
                    "event_time": {"type": "integer", "minimum": 10**9, "maximum": 10**10 - 1},
                    "event_id": {"type": "string", "minLength": 1},
                    "event_source_url": {"type": "string", "format": "uri"},
                    "action_source": {"const": "phone_call"},
                    "user_data": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": False,
                        "properties": {
                            "ph": _SHA256,
                            "external_id": _SHA256,
                            "fbc": {"pattern": r"^fb\.[0-2]\.\d{13}\.[^.]+$"},
                            "fbp": {"pattern": r"^fb\.[0-2]\.\d{13}\.\d+$"},
                        },
                    },
                    "custom_data": {
                        "type": "object",
                        "properties": {
                            "value": {"type": "number"},
                            "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
                        },
                        "dependentRequired": {"value": ["currency"]},
                    },
                },
            },
        },
    },
}


def complaints(schema: dict[str, Any], body: bytes) -> list[str]:
    """What is wrong with a body by a vendor's documents."""
    found = Draft202012Validator(schema).iter_errors(json.loads(body))
    return [f"{error.json_path}: {error.message}" for error in found]


@dataclass(slots=True)
class Analytics:
    """Google Analytics: says 204 to everything, and keeps what it would have counted."""

    api_secret: str
    counted: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def answer(self, delivery: Delivery) -> int:
        """Take one request."""
        asked = urlsplit(delivery.path)
        query = parse_qs(asked.query)
        wrong = complaints(GA4, delivery.body)
        if query.get("api_secret") != [self.api_secret] or "measurement_id" not in query:
            wrong.append("credentials")
        if wrong or asked.path != "/mp/collect":
            self.dropped += wrong or [asked.path]
        else:
            self.counted.append(json.loads(delivery.body))
        return 204


@dataclass(slots=True)
class Dataset:
    """A dataset at Meta: refuses what is not documented, counts an `event_id` once."""

    access_token: str
    received: list[str] = field(default_factory=list)
    counted: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    reply: bytes = b""

    def answer(self, delivery: Delivery) -> int:
        """Take one request; what to say is in `reply` then."""
        query = parse_qs(urlsplit(delivery.path).query)
        if query.get("access_token") != [self.access_token]:
            return self._refuse(190, "Invalid OAuth access token.")
        found = complaints(META, delivery.body)
        if found:
            self.wrong += found
            return self._refuse(100, "Invalid parameter")
        events = json.loads(delivery.body)["data"]
        for event in events:
            self.received.append(event["event_id"])
            self.counted.setdefault((event["event_name"], event["event_id"]), event)
        self.reply = json.dumps({"events_received": len(events), "messages": []}).encode()
        return 200

    def _refuse(self, code: int, message: str) -> int:
        error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b"}
        self.reply = json.dumps({"error": error}).encode()
        return 400
