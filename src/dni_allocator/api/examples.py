"""Examples in the OpenAPI description: bodies written here, answers recorded of a service.

A test sends each body to a running service; `python -m tests.support.answers` records what it
answers into `example_answers.json`, and a test compares the shapes.

Numbers are of 555-01xx, which is set aside for fiction; hosts end in `.example`.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

_KEY: Final = "pk_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_PAGE: Final[Mapping[str, Any]] = {
    "key": _KEY,
    "visitor_id": "9b2f6c1e8d7a4f05b3c2d1e0f9a8b7c6",
    "page_id": "5f0c2b7a",
}
_VISIT: Final[Mapping[str, Any]] = {
    **_PAGE,
    "url": "https://shop.example/boots?utm_source=mail&utm_campaign=spring",
    "referrer": "https://mail.example/",
    "destinations": ["(602) 555-0142"],
    "fields": {"utm_source": "mail", "utm_campaign": "spring"},
    "consent": "full",
}
_POOL: Final[Mapping[str, Any]] = {
    "name": "Spring campaign",
    "country": "US",
    "destinations": ["(602) 555-0142"],
    "overflow_numbers": ["+18005550199"],
    "allowed_origins": ["https://shop.example"],
    "idle_limit_s": 300,
    "closed_browser_delay_s": 30,
}

BODIES: Final[dict[tuple[str, str], Any]] = {
    ("post", "/assign"): _VISIT,
    ("post", "/heartbeat"): _PAGE,
    ("post", "/close"): _PAGE,
    ("post", "/assign/rendered"): {
        **_VISIT,
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "address": "203.0.113.7",
    },
    ("post", "/assign/bulk"): [{"request_id": "row-1", **_VISIT}],
    ("post", "/pools"): _POOL,
    ("patch", "/pools/{pool_id}"): {"campaign": "spring", "idle_limit_s": 600},
    ("post", "/pools/{pool_id}/numbers"): {"numbers": ["+16025550101", "(602) 555-0113"]},
    ("put", "/pools/{pool_id}/numbers/{number}/quarantine"): {"reason": "wrong callers"},
    ("post", "/sites"): {"name": "Shop", "pools": ["pool_0a1b2c3d4e5f6071"]},
    ("post", "/attribution/batch"): [
        {"request_id": "cdr-1", "number": "+16025550101", "at": "2026-11-25T09:30:00Z"}
    ],
    ("post", "/calls"): {
        "number": "+16025550101",
        "caller": "+16025550177",
        "provider": "pbx",
        "provider_call_id": "call-4711",
        "started_at": "2026-11-25T09:30:00Z",
    },
    ("patch", "/calls/{call_id}"): {
        "status": "completed",
        "duration_s": 184,
        "outcome": "sale",
        "value": "129.90",
        "currency": "USD",
    },
    ("post", "/webhooks"): {
        "url": "https://crm.example/hooks/calls",
        "event_types": ["call.completed"],
        "description": "CRM",
    },
    ("post", "/keys"): {"name": "prometheus", "scopes": ["read"]},
    ("post", "/traffic-sources"): {
        "kind": "custom",
        "name": "Spring mailing",
        "medium": "email",
        "conditions": [{"field": "utm_campaign", "operator": "starts_with", "values": ["spring"]}],
    },
    ("post", "/purchases"): {
        "vendor": "sandbox",
        "pool": "pool_0a1b2c3d4e5f6071",
        "quantity": 5,
        "type": "local",
        "area_code": "602",
        "dry_run": True,
    },
    ("put", "/pools/{pool_id}/autoscale"): {
        "vendor": "sandbox",
        "type": "local",
        "area_code": "602",
        "mode": "approval",
        "step_cap": 10,
    },
}
"""By method and path: a body that is taken."""

LATER: Final[dict[tuple[str, str], Any]] = {
    ("patch", "/sites/{site_id}"): {"name": "Shop and outlet"},
    ("post", "/sites/{site_id}/rotate-key"): {"overlap_s": 86_400},
    ("post", "/pools/{pool_id}/rotate-key"): {"overlap_s": 86_400},
    ("patch", "/webhooks/{endpoint_id}"): {"rate_limit": 50, "description": "CRM, production"},
    ("post", "/webhooks/{endpoint_id}/rotate"): {"overlap_s": 86_400},
    ("post", "/webhooks/{endpoint_id}/example"): {"event_type": "call.completed"},
    ("post", "/webhooks/{endpoint_id}/replay"): {"since": "2026-11-25T00:00:00Z"},
    ("patch", "/keys/{key_id}"): {"scopes": ["read", "calls"]},
    ("post", "/keys/{key_id}/rotate"): {"overlap_s": 3_600},
    ("patch", "/traffic-sources/{source_id}"): {"name": "Spring mailing, second wave"},
    ("post", "/traffic-sources/{source_id}/conversions"): {
        "kind": "google_ads",
        "conversion_name": "Phone call",
        "currency": "USD",
    },
    ("patch", "/traffic-sources/{source_id}/conversions/{conversion_id}"): {"days": 14},
    ("post", "/pools/{pool_id}/numbers/{number}/release"): {"rest_s": 259_200},
}
"""The same of what others had to make before: an endpoint, an order that was carried out."""


def add_examples(paths: Mapping[str, Any]) -> None:
    """Put each example into every content type of its body, or answer, that is JSON."""
    recorded = resources.files(__package__).joinpath("example_answers.json").read_bytes()
    for name, answer in json.loads(recorded).items():
        method, _, path = name.partition(" ")
        described = paths[path][method.lower()]["responses"][str(answer["status"])]
        described["content"]["application/json"]["example"] = answer["body"]
    for (method, path), body in (BODIES | LATER).items():
        content = paths[path][method]["requestBody"]["content"]
        for media_type, described in content.items():
            if "json" in media_type or media_type == "text/plain":
                described["example"] = body
