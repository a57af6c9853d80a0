"""The shop of fictional numbers: a vendor to try everything with, without an account or a bill.

In the United States and Canada the numbers 555-0100 to 555-0199 of every area code are set aside
for fiction, in Great Britain 020 7946 0000 to 0999 (Ofcom). What was sold is kept in our own books,
so that two processes do not sell one number twice.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final

from dni_allocator.domain.number import NumberType, parse_number
from dni_allocator.domain.place import place_of
from dni_allocator.domain.shop import Holding, Offer, Price, SandboxBooks, Standing, Wanted

RENT: Final = {NumberType.LOCAL: Decimal("1.00"), NumberType.TOLL_FREE: Decimal("2.00")}
"""Dollars a month that nobody pays, so that ceilings and budgets can be tried."""

_AREAS: Final = {
    "US": ("602", "480", "623", "520", "928", "212", "415", "312", "617", "206", "305", "702"),
    "CA": ("416", "604", "514", "403", "613"),
}
_TOLL_FREE: Final = ("800", "833", "844", "855", "866", "877", "888")
_AREA_DIGITS: Final = 3


class SandboxNumbers:
    """See `domain.shop.Shop`."""

    name = "sandbox"

    def __init__(self, books: SandboxBooks) -> None:
        self._books = books

    async def close(self) -> None:
        """Nothing to close."""

    async def search(self, wanted: Wanted, *, limit: int) -> Sequence[Offer]:
        """Fictional numbers that were not sold."""
        sold = await self._books.sold()
        price = Price(monthly=RENT.get(wanted.type, RENT[NumberType.LOCAL]))
        stock = (
            Offer(number=number, price=price)
            for number in _stock(wanted)
            if number not in sold and number.startswith(wanted.begins_with)
        )
        return list(islice(stock, limit))

    async def order(self, numbers: Sequence[str], *, reference: str) -> Sequence[Holding]:
        """Sold at once, to whoever is first."""
        holdings = []
        for number in numbers:
            ours = await self._books.sell(number, reference=reference)
            standing = Standing.OWNED if ours else Standing.FAILED
            holdings.append(Holding(number, standing, number, reference, "" if ours else "taken"))
        return holdings

    async def look_up(self, reference: str) -> Sequence[Holding]:
        """What the books say."""
        return [each for each in await self.owned() if each.reference == reference]

    async def release(self, number: str) -> None:
        """Back into stock."""
        await self._books.take_back(number)

    async def owned(self) -> Sequence[Holding]:
        """Everything that was sold."""
        return [
            Holding(number, Standing.OWNED, number, reference)
            for number, reference in sorted((await self._books.sold()).items())
        ]


def _stock(wanted: Wanted) -> Iterator[str]:
    if wanted.country == "GB" and wanted.type is NumberType.LOCAL:
        yield from (f"+442079460{last:03d}" for last in range(1000))
    if wanted.country not in _AREAS:
        return
    areas = _AREAS[wanted.country] if wanted.type is NumberType.LOCAL else _TOLL_FREE
    begins = wanted.prefix or wanted.area_code
    if wanted.near and not begins:
        begins = place_of(parse_number(wanted.near, country=wanted.country)).area_code
    if len(begins) >= _AREA_DIGITS:
        areas = (begins[:_AREA_DIGITS],)
    for area in areas:
        yield from (f"+1{area}55501{last:02d}" for last in range(100))
