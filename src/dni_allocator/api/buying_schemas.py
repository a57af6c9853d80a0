"""The shapes of orders of numbers, releases, and what a vendor's account holds."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from dni_allocator.api.schemas import AdminBody, PhoneText
from dni_allocator.domain.moment import moment
from dni_allocator.domain.number import NumberType
from dni_allocator.domain.purchase import MOST_NUMBERS, LineState, Purchase, PurchaseState
from dni_allocator.domain.release import Release, ReleaseState
from dni_allocator.domain.shop import Wanted

VendorName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()-]{1,20}$")]
Money = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=12, decimal_places=6)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class WishBody(AdminBody):
    """Which numbers to buy. What is left out does not matter."""

    type: Literal["local", "toll_free"] = "local"
    area_code: Digits | None = None
    prefix: Prefix | None = Field(
        default=None, description="How the number begins: `602555`, or `+1602555`."
    )
    near: PhoneText | None = Field(default=None, description="Close to this number.")
    rate_centre: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="As the vendor writes it; Twilio wants `lata` too."
    )
    lata: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,5}$")] | None = None
    region: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="State or province."
    )
    price_ceiling: Money | None = Field(
        default=None,
        description="The most a month of one number may cost; of unknown price none is bought.",
    )
    currency: Currency = Field(default="USD", description="Of the ceiling, ISO 4217.")
    vendor: VendorName | None = Field(default=None, description="Else the pool's.")

    def wanted(self, country: str) -> Wanted:
        """As the domain has it."""
        return Wanted(
            country=country,
            type=NumberType(self.type),
            area_code=self.area_code or "",
            prefix=self.prefix or "",
            near=self.near or "",
            rate_centre=self.rate_centre or "",
            lata=self.lata or "",
            region=self.region or "",
            ceiling=self.price_ceiling,
            currency=self.currency,
        )


Quantity = Annotated[int, Field(strict=True, ge=1, le=MOST_NUMBERS)]


class AutoBuyBody(WishBody):
    """`auto_buy` of `POST /pools`: numbers for the new pool."""

    quantity: Quantity


class PurchaseBody(AutoBuyBody):
    """`POST /purchases`."""

    pool: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2; left out: the pool's."
    )
    dry_run: bool = Field(default=False, description="Only say what would be ordered.")


class PurchaseLineOut(BaseModel):
    """One number of an order."""

    number: str
    state: LineState
    monthly_cost: str | None
    upfront_cost: str | None
    currency: str | None
    detail: str | None = Field(
        description="The vendor's code for its no, `unanswered`, `requirements` (the vendor waits "
        "for documents), or the code of a rejected row."
    )


class PurchaseOut(BaseModel):
    """An order of numbers."""

    id: str
    pool: str
    vendor: str
    origin: str = Field(description="`operator`, `auto_buy`, or the decision to scale.")
    state: PurchaseState
    problem: str | None
    quantity: int
    attached: int
    dry_run: bool
    cancelling: bool
    country: str
    type: str
    area_code: str | None
    prefix: str | None
    near: str | None
    rate_centre: str | None
    region: str | None
    price_ceiling: str | None
    lines: list[PurchaseLineOut]
    created_at: datetime
    updated_at: datetime


class PurchasePageOut(BaseModel):
    """Some orders, the newest first."""

    purchases: list[PurchaseOut]
    next_cursor: str | None


class ReleaseBody(AdminBody):
    """`POST /pools/{id}/numbers/{number}/release`."""

    rest_s: Annotated[int, Field(strict=True, ge=0, le=31_536_000)] = Field(
        default=0, description="How long nobody is given it before it leaves."
    )
    vendor: VendorName | None = Field(
        default=None, description="Else the one it was bought from, else the pool's."
    )


class ReleaseOut(BaseModel):
    """A number on its way back to its vendor."""

    id: str
    pool: str
    vendor: str
    number: str
    origin: str
    state: ReleaseState
    problem: str | None
    due_at: datetime = Field(description="When its rest is over.")
    created_at: datetime
    updated_at: datetime


class ReleasePageOut(BaseModel):
    """Some releases, the newest first."""

    releases: list[ReleaseOut]
    next_cursor: str | None


class VendorOut(BaseModel):
    """A vendor numbers can be bought from."""

    name: str
    configured: bool
    missing: str | None = Field(description="What it needs before numbers can be bought.")


class VendorsOut(BaseModel):
    """All vendors."""

    vendors: list[VendorOut]


class UnattachedOut(BaseModel):
    """A number the vendor bills and no pool has."""

    number: str
    vendor_id: str
    reference: str = Field(description="The order it was bought under, if it was one of ours.")


class UnknownOut(BaseModel):
    """A number a pool has and the vendor does not."""

    number: str
    pool: str


class ReconcileOut(BaseModel):
    """Both differences; at most `limit` of each are listed."""

    vendor: str
    owned: int
    matched: int
    unattached_count: int
    unattached: list[UnattachedOut]
    unknown_to_vendor_count: int
    unknown_to_vendor: list[UnknownOut]


def purchase_out(purchase: Purchase) -> PurchaseOut:
    """An order as the answer shows it."""
    wanted = purchase.wanted
    return PurchaseOut(
        id=purchase.id,
        pool=purchase.pool_id,
        vendor=purchase.vendor,
        origin=purchase.origin,
        state=purchase.state,
        problem=purchase.problem or None,
        quantity=purchase.quantity,
        attached=purchase.count(LineState.ATTACHED),
        dry_run=purchase.dry_run,
        cancelling=purchase.cancelling,
        country=wanted.country,
        type=wanted.type.value,
        area_code=wanted.area_code or None,
        prefix=wanted.prefix or None,
        near=wanted.near or None,
        rate_centre=wanted.rate_centre or None,
        region=wanted.region or None,
        price_ceiling=None if wanted.ceiling is None else str(wanted.ceiling),
        lines=[
            PurchaseLineOut(
                number=line.number,
                state=line.state,
                monthly_cost=line.monthly or None,
                upfront_cost=line.upfront or None,
                currency=line.currency or None,
                detail=line.detail or None,
            )
            for line in purchase.lines
        ],
        created_at=moment(purchase.created_ms),
        updated_at=moment(purchase.updated_ms),
    )


def release_out(release: Release) -> ReleaseOut:
    """A release as the answer shows it."""
    return ReleaseOut(
        id=release.id,
        pool=release.pool_id,
        vendor=release.vendor,
        number=release.number,
        origin=release.origin,
        state=release.state,
        problem=release.problem or None,
        due_at=moment(release.due_ms),
        created_at=moment(release.created_ms),
        updated_at=moment(release.updated_ms),
    )
