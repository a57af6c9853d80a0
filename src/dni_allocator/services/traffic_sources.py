"""Make, edit and delete traffic sources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from dni_allocator.domain.conditions import Condition, problem_of
from dni_allocator.domain.errors import InvalidRequest
from dni_allocator.domain.traffic_source import Kind, Medium, TrafficSource
from dni_allocator.services.ids import new_traffic_source_id
from dni_allocator.store.traffic_sources import TrafficSourceStore

MOST_SOURCES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an operator may set of a source; None: as it is. `medium` is set if `sets_medium`."""

    name: str | None = None
    medium: Medium | None = None
    sets_medium: bool = False
    conditions: Sequence[Condition] | None = None
    description: str | None = None
    min_confidence: float | None = None


class TrafficSources:
    """Raises `StoreUnavailable` throughout."""

    def __init__(self, store: TrafficSourceStore) -> None:
        self._store = store

    async def create(self, kind: Kind, wanted: Wanted) -> TrafficSource:
        """Make a source. Raises `InvalidRequest` for conditions that cannot hold as meant."""
        if len(await self._store.all()) >= MOST_SOURCES:
            message = f"There are at most {MOST_SOURCES} traffic sources."
            raise InvalidRequest(message)
        source = TrafficSource(
            id=new_traffic_source_id(),
            name=wanted.name or kind.value,
            kind=kind,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )
        source = _edited(source, wanted)
        await self._store.create(source)
        return source

    async def all(self) -> list[TrafficSource]:
        """All sources, oldest first."""
        return await self._store.all()

    async def read(self, source_id: str) -> TrafficSource:
        """One source. Raises `TrafficSourceUnknown`."""
        return await self._store.read(source_id)

    async def edit(self, source_id: str, wanted: Wanted) -> TrafficSource:
        """Change what is given; calls that are on record keep the source they have.

        Raises `TrafficSourceUnknown`, `EditConflict`, and `InvalidRequest` as `create`.
        """
        seen = await self._store.read(source_id)
        source = _edited(seen, wanted)
        await self._store.replace(seen, source)
        return source

    async def must_exist(self, source_ids: Sequence[str], *, named: Sequence[str] = ()) -> None:
        """See that a pool may name these. Raises `InvalidRequest` for one that there is not.

        What it has `named` before may stay, though it was deleted since.
        """
        known = {source.id for source in await self._store.some(source_ids)} | set(named)
        for place, source_id in enumerate(source_ids):
            if source_id not in known:
                field = f"traffic_sources.{place}"
                raise InvalidRequest.at(field, "There is no traffic source with this id.")


def _edited(source: TrafficSource, wanted: Wanted) -> TrafficSource:
    conditions = source.conditions if wanted.conditions is None else tuple(wanted.conditions)
    is_custom = source.kind is Kind.CUSTOM
    if is_custom is not bool(conditions):
        raise InvalidRequest.at("conditions", "A custom source needs some, and no other has any.")
    for place, condition in enumerate(conditions):
        problem = problem_of(condition)
        if problem is not None:
            raise InvalidRequest.at(f"conditions.{place}", problem)
    return replace(
        source,
        name=source.name if wanted.name is None else wanted.name,
        medium=wanted.medium if wanted.sets_medium else source.medium,
        conditions=conditions,
        description=source.description if wanted.description is None else wanted.description,
        min_confidence=(
            source.min_confidence if wanted.min_confidence is None else wanted.min_confidence
        ),
    )
