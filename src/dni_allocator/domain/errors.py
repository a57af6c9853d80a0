"""Misuse and broken infrastructure, as exceptions with a stable code.

Outcomes that are part of the job (a lease, an overflow number, the original) are results, not
errors: see `domain.lease`. This module knows nothing of HTTP; `api.errors` gives each code its
status in one table.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

_MOST_NAMED = 5
"""Of many wrong fields all are in `extra`, and so many in the sentence."""


class DniError(Exception):
    """Base of everything this package raises on purpose.

    `code` is stable, kebab-case and safe to match on; `detail` is one sentence for a person and
    never carries personal data; `extra` adds machine-readable members to a problem document.
    """

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: Mapping[str, object] = dict(extra or {})


class InvalidRequest(DniError):
    """The shape of the input is wrong; nothing was written."""

    code = "invalid-request"
    title = "The request does not have the documented shape"

    @classmethod
    def at(cls, field: str, detail: str) -> Self:
        """One field is wrong. `detail` is a sentence that does not repeat what was sent."""
        return cls.of([{"field": field, "detail": detail}])

    @classmethod
    def of(cls, errors: Sequence[Mapping[str, str]]) -> Self:
        """Some fields are wrong: a `field` and a `detail` each. The sentence names a few."""
        named = [f"{each['field']}: {each['detail']}" for each in errors[:_MOST_NAMED]]
        return cls("; ".join(named), extra={"errors": list(errors)})


class InvalidNumber(DniError):
    """A text that is no valid phone number (E.164, or national of the pool's country)."""

    code = "invalid-number"
    title = "Not a valid phone number"


class UnknownKey(DniError):
    """No such publishable or secret key, or it was revoked."""

    code = "unknown-key"
    title = "Unknown key"


class Unauthorized(DniError):
    """No bearer key was presented, or one that opens nothing."""

    code = "unauthorized"
    title = "A valid bearer key is required"


class Forbidden(DniError):
    """The key is valid but does not open this."""

    code = "forbidden"
    title = "The key does not open this"


class SecretKeyUnknown(DniError):
    """No secret key has this id, or it was revoked."""

    code = "secret-key-unknown"
    title = "Unknown secret key"


class KeyProtected(DniError):
    """The admin key is not edited like others, so that nobody locks everybody out."""

    code = "key-protected"
    title = "The admin key is replaced otherwise"


class OriginNotAllowed(DniError):
    """The page's origin is not on the pool's allow-list."""

    code = "origin-not-allowed"
    title = "Origin not allowed"


class RateLimited(DniError):
    """A visitor, or a network, leases more than the pool allows. Try again later."""

    code = "rate-limited"
    title = "Too many requests"


class BodyTooLarge(DniError):
    """The body is over the limit of the call."""

    code = "body-too-large"
    title = "Body too large"


class PoolUnknown(DniError):
    """No pool has this id, or it was deleted."""

    code = "pool-unknown"
    title = "Unknown pool"


class PoolInUse(DniError):
    """The pool still has live leases and deletion was not forced."""

    code = "pool-in-use"
    title = "The pool has live leases"


class EditConflict(DniError):
    """Somebody else edited the record between the read and the write."""

    code = "edit-conflict"
    title = "Edited by someone else meanwhile"


class NumberUnknown(DniError):
    """No pool has, or lately had, this number."""

    code = "number-unknown"
    title = "Unknown number"


class NumberTaken(DniError):
    """Another pool has this number, or this pool has it in another role."""

    code = "number-taken"
    title = "The number belongs to another pool"


class NumbersRejected(DniError):
    """An all-or-nothing attach had at least one bad row; nothing was attached."""

    code = "numbers-rejected"
    title = "Some numbers were rejected"


class EndpointUnknown(DniError):
    """No webhook endpoint has this id."""

    code = "endpoint-unknown"
    title = "Unknown webhook endpoint"


class SiteUnknown(DniError):
    """No site has this id."""

    code = "site-unknown"
    title = "Unknown site"


class CallUnknown(DniError):
    """No call has this id, or its retention is over."""

    code = "call-unknown"
    title = "Unknown call"


class PurchaseUnknown(DniError):
    """No order of numbers, and no release, has this id."""

    code = "purchase-unknown"
    title = "Unknown order"


class DecisionUnknown(DniError):
    """No decision to scale has this id."""

    code = "decision-unknown"
    title = "Unknown decision"


class PurchaseClosed(DniError):
    """The order, release or decision has gone too far to be called off or answered."""

    code = "purchase-closed"
    title = "Nothing to call off any more"


class VendorUnknown(DniError):
    """There is no vendor of this name."""

    code = "vendor-unknown"
    title = "Unknown vendor"


class VendorNotConfigured(DniError):
    """The vendor is known, and its credentials or our public address are not."""

    code = "vendor-not-configured"
    title = "The vendor is not configured"


class VendorRefused(DniError):
    """The vendor refuses the account or the request. Asking again does not help."""

    code = "vendor-refused"
    title = "The vendor refuses"


class VendorUnavailable(DniError):
    """The vendor cannot be reached, is overloaded, or answers nonsense. Try again later."""

    code = "vendor-unavailable"
    title = "The vendor is unavailable"


class TrafficSourceUnknown(DniError):
    """No traffic source has this id."""

    code = "traffic-source-unknown"
    title = "Unknown traffic source"


class ConversionUnknown(DniError):
    """The traffic source has no conversion of this id."""

    code = "conversion-unknown"
    title = "Unknown conversion"


class PasswordRequired(DniError):
    """A file of conversions was asked for without its token, or with another one."""

    code = "password-required"
    title = "A password is required"


class CursorExpired(DniError):
    """What came behind a cursor was trimmed: its holder has missed events."""

    code = "cursor-expired"
    title = "The cursor is too old"


class StoreUnavailable(DniError):
    """Redis/Valkey cannot be reached, is too slow, or refuses writes. Try again later."""

    code = "store-unavailable"
    title = "The store is unavailable"


class BadSignature(DniError):
    """A vendor's webhook that is not the vendor's, or was recorded and sent again too late."""

    code = "bad-signature"
    title = "The signature is not the vendor's"


class TelephonyOff(DniError):
    """A vendor's webhook came, and nothing is set by which it could be proven genuine."""

    code = "telephony-off"
    title = "The vendor's webhooks are not set up here"


class ConfigurationError(DniError):
    """The settings contradict each other or the data they are used with."""

    code = "configuration-error"
    title = "Configuration error"


class ScriptContractError(DniError):
    """A Lua script and its caller disagree. Always a bug of ours."""

    code = "script-contract"
    title = "Script contract broken"
