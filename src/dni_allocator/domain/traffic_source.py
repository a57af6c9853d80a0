"""Traffic sources: what kinds there are, and the records an operator keeps of theirs.

Owns the words and the record; how a visit's source is recognised is `domain.recognition`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self

from dni_allocator.domain.conditions import Condition, Operator
from dni_allocator.domain.conversion_file import ConversionFile

LONGEST_NAME: Final = 128
SURE_ENOUGH: Final = 0.5
"""From this confidence on a call is reported, unless its source says otherwise: half or more."""


class Kind(StrEnum):
    """What kind of source it is. Networks are named for what conversions can be sent to."""

    GOOGLE = "google"
    """Google Ads, also on YouTube. What Google's search finds is `organic`."""
    MICROSOFT = "microsoft"
    """Microsoft Advertising. What Bing finds is `organic`."""
    META = "meta"
    """Facebook, Instagram, Messenger, Threads: paid or not."""
    TIKTOK = "tiktok"
    LINKEDIN = "linkedin"
    PAID = "paid"
    """Advertising elsewhere; `name` says where."""
    ORGANIC = "organic"
    """A search engine that nobody paid."""
    REFERRAL = "referral"
    """Another site, an app, or a campaign that is no advertising."""
    DIRECT = "direct"
    """Nothing says where from: typed, bookmarked, or not told."""
    CUSTOM = "custom"
    """A source of the operator's own, recognised by its conditions."""


class Medium(StrEnum):
    """Whether somebody paid for the visit, and how it came about otherwise."""

    PAID = "paid"
    ORGANIC = "organic"
    EMAIL = "email"
    REFERRAL = "referral"
    OTHER = "other"
    """A campaign whose `utm_medium` says something else, or nothing."""
    NONE = "none"
    """Of a direct visit."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a visit came from.

    `name` is the site or campaign in a word: `google`, `instagram`, the host of a referrer without
    `www.`, a `utm_source`. `told_by` is the evidence: the click id's parameter, `utm`, `referrer`,
    `_fbc`, `conditions`, or `nothing`. `id` is that of the operator's source for it.
    """

    kind: Kind
    name: str
    medium: Medium
    told_by: str
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSource:
    """A source as an operator keeps it: what pools link to, and conversions are sent for.

    `conditions` are those of a custom source; the others are recognised by themselves. `medium`:
    of a custom source, what to call it; of another, visits of this medium only, None: of any.
    `min_confidence`: calls that are attributed with less are not this source's to report. `files`
    are the conversions that advertisers fetch. `created_at` is ISO 8601.
    """

    id: str
    name: str
    kind: Kind
    created_at: str
    medium: Medium | None = None
    conditions: tuple[Condition, ...] = ()
    min_confidence: float = SURE_ENOUGH
    description: str = ""
    files: tuple[ConversionFile, ...] = ()

    def stands_for(self, found: Source) -> bool:
        """Whether a visit that the rules recognised is one of this source's."""
        return self.kind is found.kind and self.medium in {None, found.medium}

    def to_json(self) -> str:
        """The record to store."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a stored record."""
        record: Mapping[str, Any] = json.loads(text)
        medium = record["medium"]
        conditions = tuple(
            Condition(each["field"], Operator(each["operator"]), tuple(each["values"]))
            for each in record["conditions"]
        )
        known = {
            "kind": Kind(record["kind"]),
            "medium": Medium(medium) if medium else None,
            "conditions": conditions,
            "files": tuple(ConversionFile.from_record(each) for each in record["files"]),
        }
        return cls(**{**record, **known})
