"""Copy a whole system out as lines of JSON, and into an empty one, whatever its shards."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from dni_allocator import __version__
from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.store.copying import (
    STRINGS,
    Copying,
    Home,
    Place,
    Record,
    names_somebody,
    place_of,
)
from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.migrating import SCHEMA_VERSION

FORMAT: Final = 1
"""Version of the lines. A newer one is refused."""

_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Restored:
    """What an import did."""

    records: int
    pools: int
    endpoints: int
    admin_key_kept: bool
    """This system had an admin key, so that of the export was left out."""


class Backup:
    """Raises `StoreUnavailable`, and `ConfigurationError` for what cannot be restored."""

    def __init__(self, copying: Copying, *, endpoints: Endpoints) -> None:
        self._copying = copying
        self._endpoints = endpoints

    async def export(self, *, personal_data: bool) -> AsyncIterator[bytes]:
        """The lines: a head, a record each, and an end that counts them.

        Key by key, not one instant: while visitors come and go a number may be copied twice, or
        nowhere. Take it from a system that nobody writes to. Reads only.
        """
        yield _line(
            {
                "dni_allocator_export": FORMAT,
                "schema": SCHEMA_VERSION,
                "version": __version__,
                "personal_data": personal_data,
                "caller_key": await self._copying.caller_key() if personal_data else None,
            }
        )
        records, left_out = 0, set[str]()
        async for keys in self._copying.keys():
            placed = [(key, place_of(key)) for key in keys]
            left_out |= {
                place.name.partition(":")[0] for _, place in placed if place.home is Home.UNKNOWN
            }
            wanted = [
                (key, place)
                for key, place in placed
                if place.home not in {Home.UNKNOWN, Home.NOWHERE}
                and (personal_data or not names_somebody(place))
            ]
            async for record in self._copying.read(wanted):
                records += 1
                yield _line(
                    {
                        "home": record.place.home,
                        "pool": record.place.pool_id,
                        "name": record.place.name,
                        "kind": record.kind,
                        "expires_ms": record.expires_ms,
                        "values": record.values,
                    }
                )
        yield _line({"end": records, "left_out": sorted(left_out)})

    async def restore(self, lines: Iterable[bytes]) -> Restored:
        """Write an export into this system, which must be empty.

        Raises `ConfigurationError` for one that is not, and for lines that are no whole export;
        what was written by then stays, so throw the data away and begin anew.
        """
        if not await self._copying.is_empty():
            raise ConfigurationError("There are data already. Import into an empty system.")
        keep_admin = await self._copying.has_admin_key()
        pools: set[str] = set()
        waiting: list[Record] = []
        written, source = 0, iter(lines)
        head = _checked(_read(next(source, b"")))
        for line in source:
            told = _read(line)
            if "end" in told:
                break
            record = _record(told)
            written += 1
            if record.place.home is Home.POOL and record.place.name == "conf":
                pools.add(record.place.pool_id)
            if keep_admin and record.place.name == "admin-keys":
                record = _without_admin(record)
            waiting.append(record)
            if len(waiting) >= _AT_ONCE:
                await self._write(waiting)
                waiting = []
        else:
            told = {}
        await self._write(waiting)
        if told.get("end") != written:
            raise ConfigurationError("The export is cut short: lines are missing at its end.")
        if isinstance(head.get("caller_key"), str):
            await self._copying.adopt_caller_key(str(head["caller_key"]))
        endpoints = await self._open(pools, leases=bool(head["personal_data"]))
        return Restored(written, len(pools), endpoints, keep_admin)

    async def _open(self, pools: set[str], *, leases: bool) -> int:
        """Make what is not copied; how many webhook endpoints there are."""
        now_ms = await self._copying.now_ms()
        for pool_id in sorted(pools):
            if not leases:
                await self._copying.free_leased(pool_id, at_ms=now_ms)
            await self._copying.adopt_pool(pool_id)
        endpoints = await self._endpoints.all()
        for endpoint in endpoints:
            await self._endpoints.heal(endpoint.id)
        return len(endpoints)

    async def _write(self, records: list[Record]) -> None:
        # Parts of one key may be written in any order: their fields differ. A record of small keys
        # is hundreds of commands, so one of them goes at a time.
        many = [each for each in records if each.kind == STRINGS]
        await asyncio.gather(
            *(self._copying.write(each) for each in records if each.values and each not in many)
        )
        for each in many:
            await self._copying.write(each)


def _line(told: dict[str, object]) -> bytes:
    return orjson.dumps(told) + b"\n"


def _read(line: bytes) -> dict[str, object]:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError("A line of the export is no JSON.") from error
    if not isinstance(told, dict):
        raise ConfigurationError("A line of the export is no record.")
    return told


def _checked(head: dict[str, object]) -> dict[str, object]:
    if head.get("dni_allocator_export") != FORMAT:
        raise ConfigurationError("This is no export, or one of a newer version.")
    if head.get("schema") != SCHEMA_VERSION:
        message = f"The export has the schema {head.get('schema')}, this version {SCHEMA_VERSION}."
        raise ConfigurationError(message)
    return head


def _record(told: dict[str, object]) -> Record:
    values, expires_ms = told.get("values"), told.get("expires_ms")
    try:
        place = Place(Home(str(told["home"])), str(told["pool"]), str(told["name"]))
    except (KeyError, ValueError) as error:
        raise ConfigurationError("A line of the export is no record.") from error
    if not isinstance(values, list) or not isinstance(expires_ms, int | None):
        raise ConfigurationError("A line of the export is no record.")
    return Record(place=place, kind=str(told.get("kind")), values=values, expires_ms=expires_ms)


def _without_admin(record: Record) -> Record:
    kept = [row for row in record.values if row[0] != "admin" and '"key_id":"admin"' not in row[1]]
    return Record(place=record.place, kind=record.kind, values=kept, expires_ms=None)
