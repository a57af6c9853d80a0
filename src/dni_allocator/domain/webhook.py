"""Webhook endpoints and the rules of delivery: who gets what, and what an answer means.

Owns the endpoint record, the retry schedule and the table of answers. Knows no clock, randomness
or network: the caller brings the random number and the time.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final, Literal, Self

from dni_allocator.domain.conversion import Target, target_of
from dni_allocator.domain.errors import InvalidRequest

State = Literal["active", "disabled"]
Start = Literal["now", "oldest"]
Body = Literal["single", "json", "ndjson"]
"""One event a request; or up to 500 as a JSON array, or as lines of JSON."""

LARGEST_BATCH: Final = 500

DISABLE_AFTER_MS: Final = 5 * 24 * 3600 * 1000
"""An endpoint of which every attempt failed for so long is disabled (Svix: 120 h)."""

RETRY_DELAYS_S: Final = (
    0, 5, 5 * 60, 30 * 60,
    2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600,
)  # fmt: skip
"""Wait before each attempt: the example of the Standard Webhooks specification, 75 h 35 m 5 s."""

JITTER: Final = 0.2
"""Waits vary by this share up and down, so that failures together do not come back together."""

LONGEST_RETRY_AFTER_S: Final = 24 * 3600.0
"""A receiver that asks for more is asked again after this long: it may not mean it."""

_FIRST_HOLD_S: Final = 5.0
LONGEST_HOLD_S: Final = 300.0
"""A batch that failed holds back all behind it, so it is tried again at least this often."""

RETRY_SPAN_S: Final = float(sum(RETRY_DELAYS_S))
"""After so long of failing a held batch becomes dead letters: the span of the table above."""

_REFUSES_THIS_EVENT: Final = frozenset({413, 414, 422, 431})
_OVERLOADED: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class OldSecret:
    """A secret that was replaced, and still signs until `until_ms` (ms since 1970)."""

    secret: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go.

    `secret` is `whsec_` or `whsk_` and base64, kept readable because each delivery is signed with
    it. `old_secrets` sign too until their receivers have changed over. Empty `event_types`: all,
    also those of later versions; empty `pools`: all, and events of no pool. `headers` go with each
    request. `rate_limit`: most requests a second, 0 for no limit. `body`: how events are packed,
    at most `batch_size` in one. `created_ms`: ms since 1970. `disabled_reason` says why.
    `start`: it hears of what happens from its creation on (`now`, as with other webhook systems),
    or first of all that is still kept (`oldest`). `sources`: traffic sources whose calls to tell
    of; empty: all, and events that have none. `target`: not a webhook, but where conversions are
    reported; `url` and `secret` are then those of the target's protocol.
    """

    id: str
    url: str
    secret: str
    created_ms: int
    event_types: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    rate_limit: int = 0
    body: Body = "single"
    batch_size: int = LARGEST_BATCH
    state: State = "active"
    description: str = ""
    start: Start = "now"
    disabled_reason: str = ""
    old_secrets: tuple[OldSecret, ...] = ()
    sources: tuple[str, ...] = ()
    target: Target | None = None

    @property
    def kind(self) -> str:
        """What is spoken there: `webhook`, or the kind of the target."""
        return "webhook" if self.target is None else self.target.kind

    @property
    def in_batches(self) -> bool:
        """Whether several events share a request, in order."""
        return self.body != "single"

    def wants(self, event_type: str, pool_id: str = "", source_id: str = "") -> bool:
        """Whether an event of this type, of this pool, of this traffic source, goes there.

        That a visitor is erased concerns whoever may have heard of them, whatever they chose. An
        advertiser's protocol has no word for it.
        """
        if event_type == "visitor.erased":
            return self.target is None
        return (
            (not self.event_types or event_type in self.event_types)
            and (not self.pools or pool_id in self.pools)
            and (not self.sources or source_id in self.sources)
        )

    def secrets_at(self, now_ms: int) -> tuple[str, ...]:
        """What signs at this instant, the present secret first."""
        old = (one.secret for one in self.old_secrets if one.until_ms > now_ms)
        return (self.secret, *old)

    def to_json(self) -> str:
        """The record to store; equal endpoints give equal texts."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a stored record; fields of a later version are left out.

        Raises:
            InvalidRequest: It is no endpoint record.
        """
        try:
            record = json.loads(text)
            known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
            for name in ("event_types", "pools", "sources"):
                known[name] = tuple(known.get(name, ()))
            known["headers"] = tuple((name, value) for name, value in known.get("headers", ()))
            known["old_secrets"] = tuple(OldSecret(**one) for one in known.get("old_secrets", ()))
            known["target"] = target_of(known.get("target"))
            return cls(**known)
        except (ValueError, TypeError) as error:
            raise InvalidRequest("A webhook endpoint record cannot be read.") from error


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint has fared: instants in ms since 1970, None where there was none.

    `failing_since` is the first failure since the last success.
    """

    taken_at: int | None = None
    failing_since: int | None = None
    failed_at: int | None = None

    def joined(self, other: "Health") -> "Health":
        """Of two shards as one: what one of them took ends the failing of both."""
        taken = _latest(self.taken_at, other.taken_at)
        failed = _latest(self.failed_at, other.failed_at)
        begins = [one for one in (self.failing_since, other.failing_since) if one is not None]
        since = min(begins) if begins else None
        if since is not None and taken is not None and since < taken:
            since = taken if failed is not None and failed > taken else None
        return Health(taken, since, failed)

    def has_failed_too_long(self) -> bool:
        """Whether attempts have failed, and none succeeded, from one end of five days to the other.

        Silence is no failure: it counts from the first failed attempt to the last.
        """
        if self.failing_since is None or self.failed_at is None:
            return False
        return self.failed_at - self.failing_since >= DISABLE_AFTER_MS


def _latest(one: int | None, other: int | None) -> int | None:
    found = [each for each in (one, other) if each is not None]
    return max(found) if found else None


class Verdict(Enum):
    """What an answer means for the event and its endpoint.

    | answer | verdict | why |
    |---|---|---|
    | 2xx | TAKEN | |
    | 410 | GONE | Standard Webhooks: the receiver wants no more; the endpoint is disabled |
    | 413, 414, 422, 431 | REFUSED | about this event, which never changes: a dead letter |
    | 429, 502, 503, 504 | OVERLOADED | retried; with `Retry-After` the whole endpoint waits |
    | 3xx | FAILED | retried: redirects are not followed, the URL needs an edit |
    | 400, 401, 403, 404 and other 4xx | FAILED | retried: wrong URL or secret, a person mends it |
    | 5xx, no answer, refused address | FAILED | retried |

    400 is retried though it says "bad request": receivers built on the Standard Webhooks libraries
    give it for a signature or a time they do not accept, which an edit mends. What is still failing
    at the last attempt becomes a dead letter whatever the answer.
    """

    TAKEN = "taken"
    FAILED = "failed"
    OVERLOADED = "overloaded"
    REFUSED = "refused"
    GONE = "gone"


def verdict(status: int | None) -> Verdict:
    """What the status code means; None: there was no answer (refused, reset, too slow)."""
    if status is None:
        return Verdict.FAILED
    if 200 <= status <= 299:  # noqa: PLR2004 -- the class of success codes
        return Verdict.TAKEN
    if status == _GONE:
        return Verdict.GONE
    if status in _REFUSES_THIS_EVENT:
        return Verdict.REFUSED
    return Verdict.OVERLOADED if status in _OVERLOADED else Verdict.FAILED


def retry_delay_s(
    attempts: int, *, random: float, retry_after_s: float | None = None
) -> float | None:
    """Seconds to wait before the next attempt, or None when there is to be none.

    Args:
        attempts: Attempts so far, from 0 up.
        random: In [0, 1): spreads the wait over ±20 %.
        retry_after_s: What the receiver asked for; the longer of the two waits is taken.
    """
    if attempts >= len(RETRY_DELAYS_S):
        return None
    delay = RETRY_DELAYS_S[attempts] * (1 - JITTER + 2 * JITTER * random)
    return max(delay, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def hold_s(attempts: int, *, random: float) -> float:
    """Seconds a batch waits in its place before it is tried again, after so many attempts (from 1).

    5 s, then twice as long each time, at most five minutes: everything behind it waits too, so it
    does not follow the schedule of single events.
    """
    delay = min(_FIRST_HOLD_S * 2.0 ** min(attempts - 1, 10), LONGEST_HOLD_S)
    return delay * (1 - JITTER + 2 * JITTER * random)


def retry_after_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """Seconds asked for by `Retry-After` (RFC 9110 10.2.3: seconds or a date); None: not asked.

    `headers` has lower-case names, `now_s` is seconds since 1970. Unreadable: not asked.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        wanted = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(wanted, 0.0), LONGEST_RETRY_AFTER_S)
