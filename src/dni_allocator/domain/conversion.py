"""Conversions: where a qualified call is reported, and what is told there.

Owns the settings of each kind of target and the facts of a call that targets ask for. How a target
is spoken to is the room `conversions`; when, how often and in which order is that of webhooks.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from dni_allocator.domain.conversion_file import Consent
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.events import Event
from dni_allocator.domain.moment import read_instant
from dni_allocator.domain.recognition import Told

EVENT_TYPE: Final = "call.qualified"
"""The event that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ga4Target:
    """A web data stream of Google Analytics 4.

    `value` and `currency` are for calls that have none of their own. `consent` is passed on for
    advertising (`ad_user_data`, `ad_personalization`); None: nothing is said.
    """

    measurement_id: str
    api_secret: str
    event_name: str = "generate_lead"
    value: float | None = None
    currency: str = ""
    consent: Consent | None = None
    kind: Literal["ga4"] = "ga4"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaTarget:
    """A dataset (pixel) of Meta's Conversions API.

    `send_phone`: whether the caller's number goes along, hashed. `test_event_code` is used for
    trials only.
    """

    pixel_id: str
    access_token: str
    event_name: str = "Contact"
    value: float | None = None
    currency: str = ""
    send_phone: bool = True
    test_event_code: str = ""
    kind: Literal["meta"] = "meta"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackTarget:
    """Any URL with macros such as `{gclid}`; with POST also a form, in which they stand too."""

    method: Literal["GET", "POST"] = "GET"
    form: str = ""
    value: float | None = None
    currency: str = ""
    kind: Literal["postback"] = "postback"


Target = Ga4Target | MetaTarget | PostbackTarget

_TARGETS: Final[Mapping[str, type[Ga4Target | MetaTarget | PostbackTarget]]] = {
    "ga4": Ga4Target,
    "meta": MetaTarget,
    "postback": PostbackTarget,
}
SECRETS: Final[Mapping[str, str]] = {"ga4": "api_secret", "meta": "access_token"}
"""The setting of each kind that opens the account at the vendor's; never shown again."""


def target_of(record: Mapping[str, Any] | None) -> Target | None:
    """A target from its stored form; settings of a later version are left out.

    Raises:
        InvalidRequest: A kind this version does not know.
    """
    if record is None:
        return None
    made = _TARGETS.get(str(record.get("kind")))
    if made is None:
        raise InvalidRequest("A conversion target of an unknown kind.")
    known = {name: record[name] for name in made.__dataclass_fields__ if name in record}
    return made(**known)


def settings_of(target: Target) -> dict[str, object]:
    """The settings of a target without what opens the account at the vendor's."""
    settings: dict[str, object] = asdict(target)
    secret = SECRETS.get(target.kind)
    if secret is not None:
        settings[secret] = masked(str(settings[secret]))
    return settings


def masked(secret: str) -> str:
    """The last four characters of a long secret, so that two can be told apart."""
    return "…" + secret[-4:] if len(secret) >= 12 else "…"  # noqa: PLR2004 -- 4 of 12 guess nothing


_CLIENT_PREFIX: Final = re.compile(r"^GA\d\.\d\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What targets may be told of a qualified call. Texts are empty where nothing is known.

    `event_id` is the same however often it is sent. `told` finds what the visitor's page told.
    """

    event_id: str
    call_id: str
    pool_id: str
    number: str
    caller: str
    started_ms: int
    duration_s: int | None
    outcome: str
    value: float | None
    currency: str
    visitor_id: str
    lease_id: str
    url: str
    referrer: str
    source_name: str = ""
    medium: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Event) -> "Conversion":
        """Read a `call.qualified`. Never raises for what it says."""
        facts = event.extra
        fields = {name: str(value) for name, value in event.fields.items()}
        return cls(
            event_id=event.id,
            call_id=_text(facts.get("call_id")) or event.id,
            pool_id=event.pool_id,
            number=event.number,
            caller=_text(facts.get("caller")),
            started_ms=read_instant(str(facts.get("started_at"))) or event.occurred_ms,
            duration_s=_whole(facts.get("duration_s")),
            outcome=_text(facts.get("outcome")),
            value=_amount(facts.get("value")),
            currency=_text(facts.get("currency")),
            visitor_id=event.visitor_id,
            lease_id=event.lease_id,
            url=event.url,
            referrer=event.referrer,
            source_name=_text(facts.get("source_name")),
            medium=_text(facts.get("medium")),
            fields=fields,
        )

    @property
    def told(self) -> Told:
        """What the visitor's page told, by name: captured fields, then the URL's parameters."""
        return Told(self.fields, self.url)

    def worth(self, target: Target) -> tuple[float | None, str]:
        """Value and currency: the call's own, else those of the target."""
        if self.value is not None:
            return self.value, self.currency or target.currency
        return target.value, target.currency

    def money(self, target: Target) -> tuple[float | None, str]:
        """Value and currency as advertisers' systems want them: both or neither."""
        value, currency = self.worth(target)
        known = value is not None and bool(currency)
        return (value, currency.upper()) if known else (None, "")

    @property
    def ga_client_id(self) -> str:
        """The client id of Google Analytics, from its cookie `_ga`; empty: none was told."""
        return _CLIENT_PREFIX.sub("", self.fields.get("_ga", ""))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _amount(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
