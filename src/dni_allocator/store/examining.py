"""What a server says of itself, and what lies in it: read for `doctor`, changing nothing."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dni_allocator.domain.errors import DniError
from dni_allocator.store.keys import FORWARDERS, META, PREFIX
from dni_allocator.store.replies import count, instant, mapping
from dni_allocator.store.scripts import Execute
from dni_allocator.store.shards import Shards

_MUST_EXPIRE: Final = re.compile(
    r"dni:\{s\d+\}:(?:pool_[^:]+:(?:(?:v|past|limit|call|caller|leak):.*|suggested|calls)"
    r"|calls|erasing)|dni:(?:call|session):.*|dni:audit"
)
"""Keys that name a visitor or a caller, or that are said to end."""

_SILENT_MS: Final = 10_000
"""As long as a forwarder's locks live; one that is silent for longer is dead."""

Scan = Callable[[str], AsyncIterator[str]]


@dataclass(frozen=True, slots=True)
class Lasting:
    """Keys that should end: how many were looked at, and kinds of those that never will."""

    looked_at: int
    kinds: Mapping[str, int]


class Examination:
    """Raises `StoreUnavailable` throughout."""

    def __init__(self, shards: Shards, *, scan: Scan) -> None:
        self._shards = shards
        self._scan = scan

    async def nodes(self) -> dict[str, dict[str, str]]:
        """INFO of every node, by its name; of a single server under "server"."""
        return _nodes(await self._shards.execute("INFO", "everything"))

    async def setting(self, name: str) -> str | None:
        """One setting of the server; None where it may not be asked for.

        Of a cluster, that of its primaries; None where they differ, which `doctor` cannot judge.
        """
        try:
            reply = await self._shards.execute("CONFIG", "GET", name)
        except DniError:
            return None
        if isinstance(reply, dict) and all(isinstance(each, dict) for each in reply.values()):
            told = {mapping(each).get(name) for each in reply.values()}
            return told.pop() if len(told) == 1 else None
        return mapping(reply).get(name)

    async def now_ms(self) -> int:
        """The server's clock."""
        return instant(await self._shards.execute("TIME"))

    async def layout(self) -> dict[str, str]:
        """Schema and number of shards as the data have them; empty before the first start."""
        return mapping(await self._shards.execute("HGETALL", META))

    async def forwarders(self, now_ms: int) -> int:
        """How many forwarders gave a sign of life lately."""
        since = now_ms - _SILENT_MS
        return count(await self._shards.execute("ZCOUNT", FORWARDERS, since, "+inf"))

    async def lasting(self, *, at_most: int) -> Lasting:
        """Look for keys without a TTL that should have one, among so many."""
        looked_at, kinds = 0, dict[str, int]()
        async for key in self._scan(f"{PREFIX}:*"):
            looked_at += 1
            if _MUST_EXPIRE.fullmatch(key) and (
                count(await self._shards.execute("PTTL", key)) == -1
            ):
                kind = re.sub(r"pool_[^:]+:", "", key.partition("}:")[2] or key).partition(":")[0]
                kinds[kind] = kinds.get(kind, 0) + 1
            if looked_at >= at_most:
                break
        return Lasting(looked_at, kinds)


async def memory_share(execute: Execute) -> float:
    """How much of `maxmemory` is used, of the fullest node; 0 without a limit, or if not told."""
    try:
        reply = await execute("INFO", "memory")
    except DniError:
        return 0.0
    return max((_share(info) for info in _nodes(reply).values()), default=0.0)


def _share(info: Mapping[str, str]) -> float:
    limit = int(info.get("maxmemory", "0"))
    return int(info.get("used_memory", "0")) / limit if limit else 0.0


def _nodes(reply: object) -> dict[str, dict[str, str]]:
    if not isinstance(reply, dict):
        return {"server": _parsed(reply)}
    if reply and all(isinstance(each, dict) for each in reply.values()):
        return {str(name): _plain(each) for name, each in reply.items()}
    return {"server": _plain(reply)}


def _plain(info: Mapping[object, object]) -> dict[str, str]:
    return {str(name): str(value) for name, value in info.items()}


def _parsed(reply: object) -> dict[str, str]:
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, mark, value in lines if mark}
