"""The directory of all numbers and all publishable keys: which pool has which.

A number's entry is `<role><pool id>`: `=` in the inventory, `+` an overflow number, `~` lately in
the inventory (such an entry ends by itself with the attribution window, and anyone may take the
number). The directory lies outside the shards, so it is written first when a number comes and last
when it goes: a crash in between leaves a claim without a number, never a number in two pools.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dni_allocator.domain.errors import ScriptContractError
from dni_allocator.store import keys
from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute, load

_CLAIM = load("directory_claim")
_RELEASE = load("directory_release")
_AT_ONCE = 100


class Role(StrEnum):
    """What a number is to its pool."""

    INVENTORY = "="
    OVERFLOW = "+"
    FORMER = "~"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a number belongs."""

    role: Role
    pool_id: str

    @classmethod
    def read(cls, value: str) -> "Entry":
        """Parse a stored value. Raises `ScriptContractError` for one we never write."""
        try:
            return cls(role=Role(value[:1]), pool_id=value[1:])
        except ValueError as error:
            message = "the number directory holds a value of an unknown form"
            raise ScriptContractError(message) from error

    def __str__(self) -> str:
        """Return the stored form."""
        return f"{self.role}{self.pool_id}"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a publishable key opens: its own pool, or the pools of a site in order.

    `retired`: it was replaced, and opens them until Redis drops the entry.
    """

    site_id: str | None
    pool_ids: tuple[str, ...]
    retired: bool = False


_SITE_MARK = ":"
_RETIRED_MARK = "~"


class Directory:
    """Look-ups and claims."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def find(self, number: str) -> Entry | None:
        """Where a number belongs, or lately belonged."""
        value = await self._execute("GET", keys.number_directory(number))
        return None if value is None else Entry.read(text(value))

    async def find_all(self, numbers: Sequence[str]) -> list[Entry | None]:
        """Where each of them belongs; some at a time, so that no queue of calls is filled."""
        found: list[Entry | None] = []
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            found += await asyncio.gather(*map(self.find, part))
        return found

    async def claim(
        self, number: str, entry: Entry, *, abandoned: Entry | None = None
    ) -> Entry | None:
        """Take a number for a pool; None when it worked, else who has it. Idempotent.

        `abandoned` may be replaced: the caller has seen that its pool is gone.
        """
        reply = await _CLAIM.run(
            self._execute,
            {
                "entry": keys.number_directory(number),
                "claim": str(entry),
                "abandoned": "" if abandoned is None else str(abandoned),
            },
        )
        return None if reply[0] == b"OK" else Entry.read(text(reply[1]))

    async def release(self, number: str, entry: Entry, *, answers_for_ms: int = 0) -> bool:
        """Give a number up; it answers attribution a while longer. Whether it still was the pool's.

        Idempotent.
        """
        former = Entry(role=Role.FORMER, pool_id=entry.pool_id) if answers_for_ms else None
        reply = await _RELEASE.run(
            self._execute,
            {
                "entry": keys.number_directory(number),
                "claim": str(entry),
                "former": "" if former is None else str(former),
                "window": answers_for_ms,
            },
        )
        return reply[0] == b"OK"

    async def opened_by(self, site_key: str) -> Opened | None:
        """What a publishable key opens."""
        value = await self._execute("GET", keys.site_key_directory(site_key))
        if value is None:
            return None
        told = text(value)
        site, mark, pools = told.removeprefix(_RETIRED_MARK).rpartition(_SITE_MARK)
        return Opened(
            site_id=site if mark else None,
            pool_ids=tuple(pools.split()),
            retired=told.startswith(_RETIRED_MARK),
        )

    async def bind_key(self, site_key: str, *pool_ids: str, site_id: str | None = None) -> None:
        """Let a publishable key open a pool, or, for a site, several in this order. Idempotent."""
        value = _opened(pool_ids, site_id)
        await self._execute("SET", keys.site_key_directory(site_key), value)

    async def retire_key(
        self, site_key: str, *pool_ids: str, for_ms: int, site_id: str | None = None
    ) -> None:
        """Let a replaced key open this for a while yet, or nothing any more. Idempotent."""
        if for_ms <= 0:
            await self.unbind_key(site_key)
            return
        value = _RETIRED_MARK + _opened(pool_ids, site_id)
        await self._execute("SET", keys.site_key_directory(site_key), value, "PX", for_ms)

    async def unbind_key(self, site_key: str) -> None:
        """Let a publishable key open nothing any more. Idempotent."""
        await self._execute("DEL", keys.site_key_directory(site_key))


def _opened(pool_ids: Sequence[str], site_id: str | None) -> str:
    pools = " ".join(pool_ids)
    return pools if site_id is None else f"{site_id}{_SITE_MARK}{pools}"
