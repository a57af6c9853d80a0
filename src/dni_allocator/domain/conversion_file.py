"""Files of conversions that an advertiser's system fetches: their settings, and who may fetch."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

FileKind = Literal["google_ads", "microsoft_ads"]
ClickId = Literal["gclid", "gbraid", "wbraid"]
Consent = Literal["granted", "denied"]

GOOGLE_CLICK_IDS: Final[tuple[ClickId, ...]] = ("gclid", "gbraid", "wbraid")
MOST_DAYS: Final = 90
"""Neither Google nor Microsoft takes a conversion that is older than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionFile:
    """One file. Its token is kept as a hash.

    `conversion_name` is that of the conversion action (Google) or goal (Microsoft). The file holds
    the calls of the last `days`. `value` and `currency` are for calls that have none. Of Google's
    only: `click_ids`, which become its columns, and `consent` for advertising (None: no such
    columns). `created_ms` is ms since 1970.
    """

    id: str
    kind: FileKind
    conversion_name: str
    token_sha256: str
    created_ms: int
    days: int = 30
    value: float | None = None
    currency: str = ""
    click_ids: tuple[ClickId, ...] = GOOGLE_CLICK_IDS
    consent: Consent | None = None
    description: str = ""
    state: Literal["active", "disabled"] = "active"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read its stored form."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        return cls(**{**known, "click_ids": tuple(known.get("click_ids", ()))})

    def opens_for(self, token: str) -> bool:
        """Whether a token is this file's, in a time that tells nothing."""
        return self.state == "active" and hmac.compare_digest(hashed(token), self.token_sha256)


def hashed(token: str) -> str:
    """What is kept of a token. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
