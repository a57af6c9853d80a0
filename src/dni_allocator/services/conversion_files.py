"""Files of conversions, for those who have the token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dni_allocator.conversions.csv import written
from dni_allocator.domain.call import QUALIFIED, Call, CallFilter, entry
from dni_allocator.domain.conversion import Conversion
from dni_allocator.domain.conversion_file import ConversionFile
from dni_allocator.domain.errors import ConversionUnknown
from dni_allocator.domain.events import from_entry
from dni_allocator.services.access import instant_ms
from dni_allocator.services.calls import Calls
from dni_allocator.store.traffic_sources import TrafficSourceStore

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as it is now."""

    name: str
    text: str


class ConversionFiles:
    """Raises `StoreUnavailable`."""

    def __init__(
        self, *, sources: TrafficSourceStore, calls: Calls, clock: Callable[[], str] = str
    ) -> None:
        self._sources = sources
        self._calls = calls
        self._clock = clock

    async def fetch(self, source_id: str, file_id: str, token: str) -> Fetched:
        """The file. Raises `ConversionUnknown`, the same for every reason.

        Looks at all calls of its days: some 10,000 a second.
        """
        file = await self._file(source_id, file_id)
        if file is None or not file.opens_for(token):
            message = "There is no such file, or the token is not its."
            raise ConversionUnknown(message)
        since_ms = instant_ms(self._clock) - file.days * _DAY_MS
        wanted = CallFilter(qualified=True, source=source_id, since_ms=since_ms)
        calls = [call async for some in self._calls.all(wanted) for call in some]
        return Fetched(f"{file.kind}.csv", written(file, map(_conversion, calls)))

    async def _file(self, source_id: str, file_id: str) -> ConversionFile | None:
        for source in await self._sources.some((source_id,)):
            for file in source.files:
                if file.id == file_id:
                    return file
        return None


def _conversion(call: Call) -> Conversion:
    """As its event told it to the targets."""
    return Conversion.of(from_entry(0, f"{call.updated_ms}-0", entry(QUALIFIED, call)))
