"""Attach numbers to a pool, detach them, list them."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from dni_allocator.domain.errors import EditConflict, InvalidNumber, NumberUnknown
from dni_allocator.domain.number import NumberType, PhoneNumber, calling_code_of, parse_number
from dni_allocator.domain.pool import Pool, PoolNumberType
from dni_allocator.services.paging import Page, packed, unpacked
from dni_allocator.services.pools import claim_number, random_place
from dni_allocator.services.shelving import shelf_for
from dni_allocator.store.directory import Directory, Entry, Role
from dni_allocator.store.policies import packed_policy
from dni_allocator.store.pools import AttachedNumber, Detached, InventoryRow, PoolStore

_MOST_TRIES = 5
"""An edit during an attach is met once in a blue moon."""

_AT_ONCE = 32
"""Directory claims under way together: enough to hide the round trips, no flood."""


@dataclass(frozen=True, slots=True)
class NumberRow:
    """One row of an attach: the number as typed, and what the vendor or operator knows of it.

    `facts`: `rate_centre`, `region`, `latitude`, `longitude`, `label`; all optional.
    """

    typed: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not attached, and why. `number` is the text as it was given."""

    position: int
    number: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class AttachResult:
    """What became of an attach: the numbers that are in the pool now, and the bad rows."""

    attached: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]


class Inventory:
    """The numbers of pools. Raises `StoreUnavailable`, `PoolUnknown` throughout."""

    def __init__(self, *, pools: PoolStore, directory: Directory) -> None:
        self._pools = pools
        self._directory = directory

    async def attach(
        self, pool_id: str, rows: Sequence[NumberRow], *, all_or_nothing: bool
    ) -> AttachResult:
        """Attach the good rows and report the bad ones; none at all if the caller says so.

        A number the pool has already counts as attached (its facts are updated, a draining is
        called off), so an attach can be repeated. O(rows), 32 round trips at a time. Raises
        `EditConflict` where the pool is edited all the time.
        """
        for _ in range(_MOST_TRIES - 1):
            with contextlib.suppress(EditConflict):
                return await self._attach(pool_id, rows, all_or_nothing=all_or_nothing)
        return await self._attach(pool_id, rows, all_or_nothing=all_or_nothing)

    async def _attach(
        self, pool_id: str, rows: Sequence[NumberRow], *, all_or_nothing: bool
    ) -> AttachResult:
        """Attach by the pool as it is now. Raises `EditConflict` when it was edited meanwhile."""
        pool = await self._pools.read(pool_id)
        good, rejected = _read_rows(rows, pool=pool)
        present = await self._pools.present(pool.id, list(good))
        room = _room(pool, size=(await self._pools.occupancy(pool.id)).attached)
        fresh = [number for number in good if number not in present]
        for number in fresh[room:] if room is not None else []:
            detail = "The pool has reached its max_size."
            rejected.append(_rejected(good.pop(number), "pool-full", detail))
        if all_or_nothing and rejected:
            return _result((), rejected)

        owners = await self._claim_all(pool, list(good))
        for number, owner in owners.items():
            detail = (
                "Another pool has this number."
                if owner.pool_id != pool.id
                else "The number is an overflow number of this pool."
            )
            rejected.append(_rejected(good.pop(number), "number-taken", detail))
        if all_or_nothing and rejected:
            await self._give_back(pool, [number for number in good if number not in present])
            return _result((), rejected)

        inventory = [_inventory_row(read, pool=pool) for read in good.values()]
        await self._pools.attach(pool, inventory)
        return _result(tuple(good), rejected)

    async def detach(self, pool_id: str, number: str, *, force: bool) -> Detached:
        """Take a number out; a leased one keeps its visitor and leaves when the lease ends.

        Raises `NumberUnknown` when it is not in this pool. What is known of its holders answers
        attribution until the window is over, or another pool takes the number.
        """
        pool = await self._pools.read(pool_id)
        outcome = await self._pools.detach(
            pool.id,
            number,
            window_ms=pool.window_ms,
            force=force,
            policy=packed_policy(pool.settings),
        )
        if outcome is Detached.DRAINING:
            return outcome
        # Also when it was absent: a claim that a crash, or a lost reply, left behind ends here, and
        # with it the detaching that took the number out.
        claimed = await self._directory.release(
            number, Entry(role=Role.INVENTORY, pool_id=pool.id), answers_for_ms=pool.window_ms
        )
        if outcome is Detached.ABSENT and not claimed:
            message = "The pool does not have this number."
            raise NumberUnknown(message)
        return Detached.DETACHED

    async def page(self, pool_id: str, *, cursor: str | None, limit: int) -> Page[AttachedNumber]:
        """Some numbers of a pool, in no order; `limit` is a hint.

        Raises `InvalidRequest` for a cursor that is not ours.
        """
        await self._pools.read(pool_id)
        at = 0 if cursor is None else unpacked(cursor)[0]
        found, following = await self._pools.inventory(pool_id, cursor=str(at), limit=limit)
        return Page(tuple(found), None if following == "0" else packed(int(following)))

    async def _claim_all(self, pool: Pool, numbers: Sequence[str]) -> dict[str, Entry]:
        """Claim every number; those that belong elsewhere, with their owner."""
        gate = asyncio.Semaphore(_AT_ONCE)
        entry = Entry(role=Role.INVENTORY, pool_id=pool.id)

        async def claim(number: str) -> Entry | None:
            async with gate:
                return await claim_number(
                    number, entry, directory=self._directory, pools=self._pools
                )

        owners = await asyncio.gather(*(claim(number) for number in numbers))
        return {
            number: owner
            for number, owner in zip(numbers, owners, strict=True)
            if owner is not None
        }

    async def _give_back(self, pool: Pool, numbers: Sequence[str]) -> None:
        for number in numbers:
            await self._directory.release(number, Entry(role=Role.INVENTORY, pool_id=pool.id))


def objection_to(number: str, *, pool: Pool) -> str | None:
    """Why a pool would not take a number, as the code of a rejected row; None: it would."""
    try:
        phone = parse_number(number, country=pool.settings.country)
    except InvalidNumber as error:
        return error.code
    objection = _objection(phone, pool=pool)
    return None if objection is None else objection[0]


@dataclass(frozen=True, slots=True)
class _ReadRow:
    position: int
    row: NumberRow
    phone: PhoneNumber


def _read_rows(
    rows: Sequence[NumberRow], *, pool: Pool
) -> tuple[dict[str, _ReadRow], list[RejectedRow]]:
    good: dict[str, _ReadRow] = {}
    rejected: list[RejectedRow] = []
    for position, row in enumerate(rows):
        try:
            phone = parse_number(row.typed, country=pool.settings.country)
        except InvalidNumber as error:
            rejected.append(RejectedRow(position, row.typed, error.code, error.detail))
            continue
        objection = _objection(phone, pool=pool)
        if objection is not None:
            rejected.append(RejectedRow(position, row.typed, *objection))
        elif phone.e164 in good:
            detail = f"The same number as row {good[phone.e164].position}."
            rejected.append(RejectedRow(position, row.typed, "duplicate", detail))
        else:
            good[phone.e164] = _ReadRow(position=position, row=row, phone=phone)
    return good, rejected


def _objection(phone: PhoneNumber, *, pool: Pool) -> tuple[str, str] | None:
    settings = pool.settings
    if phone.calling_code != calling_code_of(settings.country):
        return "wrong-country", f"Not a number of the pool's country, {settings.country}."
    if phone.e164 in {*settings.destinations, *settings.routing.destinations}:
        return "number-is-destination", "A destination of the pool cannot be one of its numbers."
    wanted = {
        PoolNumberType.LOCAL: NumberType.LOCAL,
        PoolNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    }.get(settings.number_type, phone.type)
    if phone.type is not wanted:
        return "wrong-type", f"The pool takes {settings.number_type} numbers only."
    return None


def _room(pool: Pool, *, size: int) -> int | None:
    most = pool.settings.max_size
    return None if most is None else max(0, most - size)


def _rejected(read: _ReadRow, code: str, detail: str) -> RejectedRow:
    return RejectedRow(read.position, read.row.typed, code, detail)


def _result(attached: tuple[str, ...], rejected: list[RejectedRow]) -> AttachResult:
    return AttachResult(
        attached=attached, rejected=tuple(sorted(rejected, key=lambda row: row.position))
    )


def _inventory_row(read: _ReadRow, *, pool: Pool) -> InventoryRow:
    facts = {name: value for name, value in read.row.facts.items() if value is not None}
    shelf, place = shelf_for(pool, read.phone, facts)
    return InventoryRow(
        number=read.phone.e164,
        shelf=shelf,
        place=place,
        national=read.phone.national,
        international=read.phone.international,
        facts=orjson.dumps(facts).decode() if facts else "",
        shelved_at_ms=random_place(),
    )
