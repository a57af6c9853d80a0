"""Orders, releases and decisions a page at a time, newest first: one list of three ledgers."""

from typing import TypeVar

from dni_allocator.services.paging import Page, packed, unpacked
from dni_allocator.store.ledger import Ledger, Record

R = TypeVar("R", bound=Record)


async def page_of(
    ledger: Ledger[R], *, cursor: str | None, limit: int, pool_id: str | None
) -> Page[R]:
    """Some records, newest first, of all pools or of one."""
    before = None if cursor is None else unpacked(cursor)
    records, last = await ledger.page(before=before, limit=limit, pool_id=pool_id)
    return Page(tuple(records), None if last is None else packed(*last))
