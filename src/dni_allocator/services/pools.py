"""Make, edit and delete pools; what holds for their settings as a whole."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from dni_allocator.domain.conditions import problem_of
from dni_allocator.domain.errors import (
    EditConflict,
    InvalidNumber,
    InvalidRequest,
    NumberTaken,
    PoolUnknown,
)
from dni_allocator.domain.matching import Match
from dni_allocator.domain.number import calling_code_of, parse_number
from dni_allocator.domain.old_key import replaced
from dni_allocator.domain.pool import Occupancy, Pool, PoolSettings, normalise_origin
from dni_allocator.services.access import instant_ms
from dni_allocator.services.ids import new_pool_id, new_site_key
from dni_allocator.services.paging import Page, packed, unpacked
from dni_allocator.services.routing_rules import normalise_routing
from dni_allocator.services.shelving import Shelving
from dni_allocator.store.directory import Directory, Entry, Role
from dni_allocator.store.pools import PoolStore


class Pools:
    """Pools as an operator handles them. Raises `StoreUnavailable` throughout."""

    def __init__(
        self,
        *,
        pools: PoolStore,
        directory: Directory,
        shelving: Shelving,
        clock: Callable[[], str] = str,
    ) -> None:
        self._clock = clock
        self._pools = pools
        self._directory = directory
        self._shelving = shelving

    async def create(self, settings: PoolSettings) -> Pool:
        """Make a pool with a publishable key of its own.

        Raises `InvalidRequest` naming each bad setting, `NumberTaken` when an overflow number
        belongs elsewhere; nothing is left behind then.
        """
        pool = Pool(
            id=new_pool_id(),
            key=new_site_key(),
            revision=1,
            created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            settings=normalise(settings),
        )
        await self._pools.create(pool)
        try:
            await self._claim_overflow(pool, pool.settings.overflow_numbers)
            await self._directory.bind_key(pool.key, pool.id)
        except BaseException:
            await self._pools.delete_some(pool, force=True)
            raise
        return pool

    async def read(self, pool_id: str) -> Pool:
        """Read one pool. Raises `PoolUnknown`."""
        return await self._pools.read(pool_id)

    async def occupancy(self, pool_id: str) -> Occupancy:
        """What a pool holds now and did since it was made."""
        return await self._pools.occupancy(pool_id)

    async def edit(self, pool: Pool, settings: PoolSettings) -> Pool:
        """Put new settings in the place of those of `pool`, as read before.

        Live leases keep their deadlines; the next sign of life follows the new rules. Raises
        `EditConflict` when somebody else was quicker, and as `create`.
        """
        edited = replace(pool, settings=normalise(settings))
        for field, dialled in _dialled(edited.settings).items():
            if await self._pools.present(pool.id, dialled):
                detail = "One of them is a number of this pool; calls would go in a circle."
                raise InvalidRequest.at(field, detail)
        before = set(pool.settings.overflow_numbers)
        after = set(edited.settings.overflow_numbers)
        await self._claim_overflow(pool, sorted(after - before))
        try:
            unshelves = (settings.match is Match.NONE) is not (pool.settings.match is Match.NONE)
            edited = await self._pools.edit(edited, unshelves=unshelves)
        except BaseException:
            await self._release_overflow(pool, sorted(after - before))
            raise
        await self._release_overflow(pool, sorted(before - after))
        if edited.unshelved:
            await self._shelving.reshelve(edited)
        return edited

    async def rotate_key(self, pool_id: str, *, overlap_s: int) -> Pool:
        """Give the pool a new publishable key; the one before works on for `overlap_s` seconds.

        Raises `PoolUnknown`, `EditConflict`. The edit is the step that decides; after a crash
        behind it, entries of replaced keys stay in the directory until the next rotation, and
        open nothing beyond their time.
        """
        pool = await self._pools.read(pool_id)
        now_ms = instant_ms(self._clock)
        living, ended = replaced(pool.key, pool.old_keys, now_ms=now_ms, overlap_s=overlap_s)
        rotated = replace(pool, key=new_site_key(), old_keys=living)
        await self._directory.bind_key(rotated.key, pool.id)
        try:
            rotated = await self._pools.edit(rotated)
        except (EditConflict, PoolUnknown):
            await self._directory.unbind_key(rotated.key)
            raise
        for each in ended:
            await self._directory.unbind_key(each.key)
        for each in living:
            await self._directory.retire_key(each.key, pool.id, for_ms=each.until_ms - now_ms)
        return rotated

    async def delete(self, pool_id: str, *, force: bool) -> None:
        """Delete a pool and set its numbers free for others.

        Raises `PoolInUse` while visitors hold numbers, unless forced. Safe to repeat: what an
        interrupted deletion left is taken by the next one, or by whoever attaches the number.
        """
        pool = await self._pools.read(pool_id, also_half_deleted=True)
        numbers: list[str] = []
        more = True
        while more:
            numbers, more = await self._pools.delete_some(pool, force=force, told=numbers)
            for number in numbers:
                await self._directory.release(number, Entry(role=Role.INVENTORY, pool_id=pool.id))
            force = True
        for number in pool.settings.overflow_numbers:
            await self._directory.release(number, Entry(role=Role.OVERFLOW, pool_id=pool.id))
        for key in (pool.key, *(old.key for old in pool.old_keys)):
            await self._directory.unbind_key(key)

    async def page(
        self, *, cursor: str | None, limit: int, only: frozenset[str] | None = None
    ) -> Page[Pool]:
        """Some pools after `cursor`, by id; `only`: of these.

        O(pools) a page: pools are thousands, not millions.
        """
        after = "" if cursor is None else unpacked(cursor)[1]
        ids: list[str] = []
        for shard in self._pools.shards():
            ids += await self._pools.ids(shard)
        wanted = sorted(
            pool_id for pool_id in ids if pool_id > after and (only is None or pool_id in only)
        )
        found = await asyncio.gather(*map(self._read_if_there, wanted[:limit]))
        pools = [pool for pool in found if pool is not None]
        return Page(tuple(pools), packed(0, wanted[limit - 1]) if len(wanted) > limit else None)

    async def _read_if_there(self, pool_id: str) -> Pool | None:
        try:
            return await self._pools.read(pool_id)
        except PoolUnknown:
            return None

    async def _claim_overflow(self, pool: Pool, numbers: Sequence[str]) -> None:
        claimed: list[str] = []
        for number in numbers:
            owner = await claim_number(
                number,
                Entry(role=Role.OVERFLOW, pool_id=pool.id),
                directory=self._directory,
                pools=self._pools,
            )
            if owner is not None:
                await self._release_overflow(pool, claimed)
                whose = "This" if owner.pool_id == pool.id else "Another"
                message = f"overflow_numbers: {whose} pool has one of them."
                raise NumberTaken(message, extra={"number": number, "pool_id": owner.pool_id})
            claimed.append(number)

    async def _release_overflow(self, pool: Pool, numbers: Sequence[str]) -> None:
        for number in numbers:
            await self._directory.release(
                number,
                Entry(role=Role.OVERFLOW, pool_id=pool.id),
                answers_for_ms=pool.window_ms,
            )


async def claim_number(
    number: str, entry: Entry, *, directory: Directory, pools: PoolStore
) -> Entry | None:
    """Take a number for a pool; None when it worked, else who has it. Idempotent.

    A claim of a pool that was deleted in the middle of something is taken over.
    """
    owner = await directory.claim(number, entry)
    if owner is None:
        return None
    try:
        await pools.read(owner.pool_id)
    except PoolUnknown:
        return await directory.claim(number, entry, abandoned=owner)
    return owner


async def known_pools(pool_ids: Sequence[str], *, pools: PoolStore) -> tuple[str, ...]:
    """The pools, each once and in their order. Raises `InvalidRequest` for one there is not."""
    found = await asyncio.gather(*map(pools.read, pool_ids), return_exceptions=True)
    for position, pool in enumerate(found):
        if isinstance(pool, PoolUnknown):
            raise InvalidRequest.at(f"pools.{position}", "There is no pool with this id.") from pool
        if isinstance(pool, BaseException):
            raise pool
    return tuple(dict.fromkeys(pool_ids))


def normalise(settings: PoolSettings) -> PoolSettings:
    """Numbers as E.164, origins as browsers send them, country in capitals, each thing once.

    Raises `InvalidRequest` that names every bad setting, without repeating its value.
    """
    errors: list[dict[str, str]] = []
    country = settings.country.upper()
    if calling_code_of(country) == 0:
        errors.append({"field": "country", "detail": "No such ISO 3166-1 alpha-2 country."})
        country = "US"

    def numbers(field: str, typed: Sequence[str]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for position, text in enumerate(typed):
            try:
                found[parse_number(text, country=country).e164] = None
            except InvalidNumber as error:
                errors.append({"field": f"{field}.{position}", "detail": error.detail})
        return tuple(found)

    origins: dict[str, None] = {}
    for position, text in enumerate(settings.allowed_origins):
        origin = normalise_origin(text)
        if origin is None:
            detail = "An origin is https://host[:port], https://*.host or *."
            errors.append({"field": f"allowed_origins.{position}", "detail": detail})
        else:
            origins[origin] = None
    routing, objections = normalise_routing(settings.routing, country=country)
    errors += objections
    result = replace(
        settings,
        routing=routing,
        country=country,
        destinations=numbers("destinations", settings.destinations),
        overflow_numbers=numbers("overflow_numbers", settings.overflow_numbers),
        allowed_origins=tuple(origins),
    )
    errors += _rule_problems(result)
    if errors:
        raise InvalidRequest.of(errors)
    return result


def _dialled(settings: PoolSettings) -> dict[str, tuple[str, ...]]:
    """The numbers that calls are sent to, by the setting that names them."""
    return {"destinations": settings.destinations, "routing": settings.routing.destinations}


def _rule_problems(settings: PoolSettings) -> list[dict[str, str]]:
    """Rules that contradict one another, or themselves."""
    errors = []
    both = (settings.min_size, settings.max_size)
    if both[0] is not None and both[1] is not None and both[0] > both[1]:
        errors.append({"field": "min_size", "detail": "Greater than max_size."})
    if not set(settings.overflow_numbers).isdisjoint(chain(*_dialled(settings).values())):
        detail = "A destination cannot be an overflow number too: calls would go in a circle."
        errors.append({"field": "overflow_numbers", "detail": detail})
    if settings.max_lease_age_s is not None and settings.max_lease_age_s < settings.min_hold_s:
        errors.append({"field": "max_lease_age_s", "detail": "Less than min_hold_s."})
    pressed = settings.pressure_threshold is not None
    if pressed and settings.pressure_idle_limit_s > settings.idle_limit_s:
        errors.append({"field": "pressure_idle_limit_s", "detail": "Greater than idle_limit_s."})
    if settings.provisional_s is not None and settings.provisional_s > settings.idle_limit_s:
        errors.append({"field": "provisional_s", "detail": "Greater than idle_limit_s."})
    if settings.reserve_share > 0 and not settings.reserve_for:
        detail = "Nobody could use the reserve: reserve_for says for whom it is."
        errors.append({"field": "reserve_for", "detail": detail})
    for field in ("reserve_for", "serves"):
        for position, condition in enumerate(getattr(settings, field)):
            problem = problem_of(condition)
            if problem is not None:
                errors.append({"field": f"{field}.{position}", "detail": problem})
    return errors


def random_place() -> int:
    """A place in the queue for a number that was never leased: ms in the first 16 minutes of 1970.

    Random, so that two pools filled from one list do not hand it out in step.
    """
    return secrets.randbelow(1_000_000)
