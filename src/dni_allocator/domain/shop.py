"""The shop of a telephony vendor, as buying sees it: what is wanted, offered, ordered, owned.

The port between `services` and `vendors`, neither of which knows the other. Money is `Decimal`, a
month's rent of one number unless said otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from dni_allocator.domain.number import NumberType, calling_code_of


@dataclass(frozen=True, slots=True)
class Price:
    """What a number costs: rent a month, and once when it is bought. `currency` is ISO 4217."""

    monthly: Decimal
    upfront: Decimal = Decimal(0)
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which numbers to look for. Texts are empty, and `ceiling` None, where it does not matter.

    `area_code` is the national destination code, `prefix` the digits a national number begins with,
    `near` an E.164 number to be close to, `rate_centre` as the vendor writes it (Twilio wants its
    `lata` too), `region` a state or province. `ceiling` is the most a month of one number may cost;
    a number of unknown price is then not bought.
    """

    country: str
    type: NumberType = NumberType.LOCAL
    area_code: str = ""
    prefix: str = ""
    near: str = ""
    rate_centre: str = ""
    lata: str = ""
    region: str = ""
    ceiling: Decimal | None = None
    currency: str = "USD"

    @property
    def begins_with(self) -> str:
        """How every number that is wanted begins, E.164."""
        return f"+{calling_code_of(self.country)}{self.prefix or self.area_code}"

    def fits(self, offer: "Offer") -> bool:
        """Whether an offer is what was asked for, price aside: vendors read patterns freely."""
        return offer.number.startswith(self.begins_with)

    def affords(self, offer: "Offer") -> bool:
        """Whether an offer is under the ceiling, in its currency. No price, no purchase."""
        if self.ceiling is None:
            return True
        price = offer.price
        return (
            price is not None and price.currency == self.currency and price.monthly <= self.ceiling
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """A number in stock. `facts` as `POST /pools/{id}/numbers` takes them."""

    number: str
    price: Price | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


class Standing(StrEnum):
    """How far a number is at its vendor."""

    OWNED = "owned"
    PENDING = "pending"
    """Ordered, and the vendor works on it."""
    FAILED = "failed"
    """The vendor will not sell it."""
    UNKNOWN = "unknown"
    """No answer came: it may have been bought, or may yet be."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A number at its vendor. `reference` is the order it was bought under, if it says one."""

    number: str
    standing: Standing
    vendor_id: str = ""
    reference: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VoiceTarget:
    """Where a vendor sends calls of a number: the public addresses of this service."""

    voice_url: str
    status_url: str


class Shop(Protocol):
    """One vendor's shop.

    Everything raises `VendorUnavailable` when the vendor cannot be reached, is overloaded or talks
    nonsense, and `VendorRefused` when it refuses the account or the request as a whole.
    """

    @property
    def name(self) -> str:
        """`twilio`, `telnyx`, `sandbox`."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...

    async def search(self, wanted: Wanted, *, limit: int) -> Sequence[Offer]:
        """Numbers in stock, at most `limit`. Changes nothing."""
        ...

    async def order(self, numbers: Sequence[str], *, reference: str) -> Sequence[Holding]:
        """Buy these numbers, calls to them answered by this service; what became of each.

        A number is one thing, and sold once: ordering it again under the same reference buys
        nothing twice. `Standing.UNKNOWN` where no answer came; look it up before anything else.
        """
        ...

    async def look_up(self, reference: str) -> Sequence[Holding]:
        """What was bought or ordered under a reference."""
        ...

    async def release(self, number: str) -> None:
        """Give a number back. Idempotent: one the account does not own is given back already."""
        ...

    async def owned(self) -> Sequence[Holding]:
        """Every number of the account. O(numbers), some round trips for each thousand."""
        ...


class SandboxBooks(Protocol):
    """What the shop of fictional numbers sold, since no vendor remembers it."""

    async def sold(self) -> Mapping[str, str]:
        """Number to reference."""
        ...

    async def sell(self, number: str, *, reference: str) -> bool:
        """Note a sale; False when somebody else has the number. Idempotent."""
        ...

    async def take_back(self, number: str) -> None:
        """Strike a sale out. Idempotent."""
        ...
