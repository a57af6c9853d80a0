"""An order of numbers: its lines, its states, and what follows from what a vendor answered.

Pure: the vendor's answers and the time come in, the next record comes out. Who writes it down
before the vendor is called next is `services.purchasing`.

    searching -> ordering -> pending -> done | partial | failed | cancelled
        ^___________|____________|   numbers that were not to be had are replaced by others
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from dni_allocator.domain.shop import Holding, Offer, Standing, Wanted

SETTLE_MS: Final = 120_000
"""How long a request that was never answered may still take effect at the vendor. Until then the
number counts as bought, so that no other is bought in its place."""

MOST_ROUNDS: Final = 5
"""How often numbers that were not to be had are replaced before the rest is given up."""

PENDING_FOR_MS: Final = 30 * 86_400_000
"""After this long a pending number is given up: documents that vendors ask for come or do not."""

MOST_NUMBERS: Final = 500
"""Of one order."""


class PurchaseState(StrEnum):
    """Where an order is."""

    SEARCHING = "searching"
    ORDERING = "ordering"
    PENDING = "pending"
    """All is ordered; the vendor works on some numbers."""
    DONE = "done"
    PARTIAL = "partial"
    """Some were bought, and no more can be."""
    FAILED = "failed"
    CANCELLED = "cancelled"


CLOSED: Final = frozenset(
    {PurchaseState.DONE, PurchaseState.PARTIAL, PurchaseState.FAILED, PurchaseState.CANCELLED}
)


class LineState(StrEnum):
    """Where one number of an order is."""

    OFFERED = "offered"
    """Of a dry run: it would be ordered."""
    CHOSEN = "chosen"
    ASKED = "asked"
    """The vendor was asked for it, or is about to be."""
    PENDING = "pending"
    BOUGHT = "bought"
    ATTACHED = "attached"
    REJECTED = "rejected"
    """Bought, and the pool does not take it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of an order. Money as text, exactly as the vendor said it; empty: unknown."""

    number: str
    state: LineState = LineState.CHOSEN
    monthly: str = ""
    upfront: str = ""
    currency: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    asked_ms: int = 0
    """When the vendor was last asked; 0: never."""
    in_flight: bool = False
    """The last question has no answer: it is under way, or its asker died."""
    doubted_ms: int = 0
    """When a question was asked that stayed without an answer; 0: none did."""
    vendor_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """An order of numbers for a pool. `id` is also the reference at the vendor.

    `origin` says who wanted it: `operator`, `auto_buy`, or the id of a decision to scale.
    """

    id: str
    pool_id: str
    vendor: str
    wanted: Wanted
    quantity: int
    created_ms: int
    updated_ms: int
    dry_run: bool = False
    origin: str = "operator"
    state: PurchaseState = PurchaseState.SEARCHING
    lines: tuple[Line, ...] = ()
    rounds: int = 0
    tries: int = 0
    """Steps in a row that met a vendor out of reach."""
    cancelling: bool = False
    problem: str = ""
    """Why it stands where it stands, a stable word; empty: all is well."""

    @property
    def closed(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in CLOSED

    def count(self, *states: LineState) -> int:
        """How many lines are in one of these states."""
        return sum(line.state in states for line in self.lines)

    @property
    def missing(self) -> int:
        """How many numbers are neither had, nor on their way, nor in doubt."""
        return self.quantity - self.count(
            LineState.CHOSEN, LineState.ASKED, LineState.PENDING, LineState.BOUGHT,
            LineState.ATTACHED, LineState.REJECTED,
        )  # fmt: skip

    def waits(self, now_ms: int) -> int:
        """How long to leave it alone, ms: longer each time, up to ten minutes."""
        if self.tries:
            return int(min(600_000, 2_000 * 2 ** min(self.tries - 1, 9)))
        if self.state is PurchaseState.PENDING:
            return max(5_000, min(600_000, (now_ms - self.created_ms) // 4))
        return 0


def chosen(purchase: Purchase, offers: Iterable[Offer], *, taken: frozenset[str]) -> Purchase:
    """Put offers on the order, as many as are missing; none that the pool cannot have (`taken`).

    A dry run ends here, with what would be ordered.
    """
    known = {line.number for line in purchase.lines} | taken
    found: list[Line] = []
    too_dear = False
    for offer in offers:
        if len(found) == purchase.missing:
            break
        if offer.number in known or not purchase.wanted.fits(offer):
            continue
        if not purchase.wanted.affords(offer):
            too_dear = True
            continue
        known.add(offer.number)
        price = offer.price
        found.append(
            Line(
                number=offer.number,
                state=LineState.OFFERED if purchase.dry_run else LineState.CHOSEN,
                monthly="" if price is None else str(price.monthly),
                upfront="" if price is None else str(price.upfront),
                currency="" if price is None else price.currency,
                facts=offer.facts,
            )
        )
    problem = purchase.problem
    if len(found) < purchase.missing:
        problem = "over_ceiling" if too_dear else "out_of_stock"
    picked = replace(
        purchase,
        lines=(*purchase.lines, *found),
        rounds=purchase.rounds + 1,
        problem=problem,
    )
    if purchase.dry_run:
        return replace(picked, state=_ended(len(found), purchase.quantity))
    if not found and not purchase.lines:
        return replace(picked, state=PurchaseState.FAILED)
    return replace(picked, state=PurchaseState.ORDERING)


def asked(purchase: Purchase, numbers: Sequence[str], *, now_ms: int) -> Purchase:
    """Note that the vendor is about to be asked for these: written down before it is.

    A question of an asker who died is one that stayed without an answer.
    """
    return _with_lines(
        purchase,
        {
            line.number: replace(
                line,
                state=LineState.ASKED,
                asked_ms=now_ms,
                in_flight=True,
                doubted_ms=line.asked_ms if line.in_flight else line.doubted_ms,
            )
            for line in purchase.lines
            if line.number in numbers
        },
    )


def answered(purchase: Purchase, holdings: Iterable[Holding], *, now_ms: int) -> Purchase:
    """Take what the vendor said of numbers it was asked for; of others nothing is taken."""
    lines = {line.number: line for line in purchase.lines}
    changed: dict[str, Line] = {}
    for holding in holdings:
        line = lines.get(holding.number)
        if line is None or line.state not in {LineState.ASKED, LineState.PENDING}:
            continue
        doubted, detail = 0, holding.detail
        match holding.standing:
            case Standing.OWNED:
                state = LineState.BOUGHT
            case Standing.PENDING:
                state = LineState.PENDING
            case Standing.FAILED if line.doubted_ms and now_ms - line.doubted_ms < SETTLE_MS:
                # Perhaps it is not for sale because an earlier question has just bought it.
                state, doubted, detail = LineState.ASKED, line.doubted_ms, "unanswered"
            case Standing.FAILED:
                state = LineState.FAILED
            case _:
                state, doubted, detail = LineState.ASKED, now_ms, "unanswered"
        changed[line.number] = replace(
            line,
            state=state,
            in_flight=False,
            doubted_ms=doubted,
            vendor_id=holding.vendor_id or line.vendor_id,
            detail=detail,
        )
    return _with_lines(purchase, changed)


def attached(purchase: Purchase, rejected: Mapping[str, str]) -> Purchase:
    """The bought numbers are in the pool now, but those it does not take (number to code)."""
    return _with_lines(
        purchase,
        {
            line.number: replace(
                line,
                state=LineState.REJECTED if line.number in rejected else LineState.ATTACHED,
                detail=rejected.get(line.number, ""),
            )
            for line in purchase.lines
            if line.state is LineState.BOUGHT
        },
    )


def gave_up_waiting(purchase: Purchase, *, now_ms: int) -> Purchase:
    """Pending numbers that have waited for a month count as not to be had."""
    return _with_lines(
        purchase,
        {
            line.number: replace(line, state=LineState.FAILED, detail="pending_too_long")
            for line in purchase.lines
            if line.state is LineState.PENDING and now_ms - line.asked_ms > PENDING_FOR_MS
        },
    )


def settled(purchase: Purchase, *, now_ms: int) -> Purchase:
    """Numbers that nobody asks for any more: not bought, once no question can take effect."""
    changed = {}
    for line in purchase.lines:
        if line.state is LineState.ASKED:
            since = max(line.doubted_ms, line.asked_ms if line.in_flight else 0)
            if now_ms - since >= SETTLE_MS:
                changed[line.number] = replace(
                    line, state=LineState.FAILED, in_flight=False, detail="cancelled"
                )
    return _with_lines(purchase, changed)


def onward(purchase: Purchase) -> Purchase:
    """The state that follows from the lines."""
    if purchase.count(LineState.CHOSEN, LineState.ASKED, LineState.BOUGHT):
        return replace(purchase, state=PurchaseState.ORDERING)
    exhausted = purchase.rounds >= MOST_ROUNDS or purchase.problem in {
        "out_of_stock",
        "over_ceiling",
    }
    if purchase.missing > 0 and not exhausted and not purchase.cancelling:
        return replace(purchase, state=PurchaseState.SEARCHING)
    if purchase.count(LineState.PENDING):
        return replace(purchase, state=PurchaseState.PENDING)
    had = purchase.count(LineState.ATTACHED)
    state = _ended(had, purchase.quantity)
    if had == 0 and purchase.cancelling:
        state = PurchaseState.CANCELLED
    problem = purchase.problem
    if state is not PurchaseState.DONE and not problem:
        problem = "cancelled" if purchase.cancelling else "refused"
    if purchase.count(LineState.REJECTED):
        problem = "rejected_by_pool"
    if state is PurchaseState.DONE:
        problem = ""
    return replace(purchase, state=state, problem=problem)


def given_up(purchase: Purchase) -> Purchase:
    """Cancel: what the vendor was not asked for is dropped, what it was is followed to the end."""
    kept = tuple(line for line in purchase.lines if line.state is not LineState.CHOSEN)
    dropped = replace(purchase, lines=kept, cancelling=True)
    return onward(dropped)


def cost_of(lines: Iterable[Line]) -> tuple[Decimal, Decimal]:
    """Rent a month, and what was paid once, of these lines; unknown prices count nothing."""
    monthly = upfront = Decimal(0)
    for line in lines:
        monthly += Decimal(line.monthly or 0)
        upfront += Decimal(line.upfront or 0)
    return monthly, upfront


def _ended(had: int, quantity: int) -> PurchaseState:
    if had >= quantity:
        return PurchaseState.DONE
    return PurchaseState.PARTIAL if had else PurchaseState.FAILED


def _with_lines(purchase: Purchase, changed: Mapping[str, Line]) -> Purchase:
    return replace(purchase, lines=tuple(changed.get(line.number, line) for line in purchase.lines))
