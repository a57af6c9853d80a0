"""Look a system over: what would lose data, what does not get through, what is about to fill up."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dni_allocator.store.endpoints import Endpoints
from dni_allocator.store.erasing import ErasureStore
from dni_allocator.store.examining import Examination
from dni_allocator.store.migrating import SCHEMA_VERSION
from dni_allocator.store.outbox import Outbox

OLDEST_SERVER: Final = (6, 2)
MOST_LOOKED_AT: Final = 200_000

_MINUTE_MS: Final = 60_000
_LATE_MS, _VERY_LATE_MS = 5 * _MINUTE_MS, 60 * _MINUTE_MS
_SKEWED_MS, _BADLY_SKEWED_MS = 1_000, 30_000
_FULL, _NEARLY_FULL = 0.9, 0.75


class Level(StrEnum):
    """How a finding is: `bad` loses data or stops something, `warn` may."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    detail: str


class Doctor:
    """Reads only. Raises `StoreUnavailable` when there is nothing to look at."""

    def __init__(
        self,
        *,
        examination: Examination,
        outboxes: Sequence[Outbox],
        endpoints: Endpoints,
        erasures: ErasureStore,
        shards: int,
        cap_bytes: int,
        clock_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self._examination = examination
        self._outboxes = outboxes
        self._endpoints = endpoints
        self._erasures = erasures
        self._shards = shards
        self._cap_bytes = cap_bytes
        self._clock_ms = clock_ms

    async def examine(self) -> list[Finding]:
        """Everything, the most basic first."""
        asked = self._clock_ms()
        server_ms = await self._examination.now_ms()
        found = [clock(server_ms - (asked + self._clock_ms()) / 2)]
        found.append(layout(await self._examination.layout(), shards=self._shards))
        wanted = ("appendfsync", "save", "min-replicas-to-write")
        settings = {name: await self._examination.setting(name) for name in wanted}
        for node, info in (await self._examination.nodes()).items():
            of = "" if node == "server" else f" of {node}"
            found += [
                Finding(each.name + of, each.level, each.detail)
                for each in (
                    version(info),
                    persistence(info, settings),
                    log_of_writes(info),
                    eviction(info),
                    memory(info),
                    replicas(info, settings),
                )
            ]
        found.append(await self._lasting())
        found += await self._deliveries(server_ms)
        unfinished = await self._erasures.unfinished(before_ms=server_ms - 10 * _MINUTE_MS)
        found.append(
            Finding("erasures", Level.WARN, f"{len(unfinished)} began and do not end: see the log.")
            if unfinished
            else Finding("erasures", Level.OK, "None is left unfinished.")
        )
        return found

    async def _lasting(self) -> Finding:
        seen = await self._examination.lasting(at_most=MOST_LOOKED_AT)
        if seen.kinds:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.kinds.items()))
            detail = f"Keys that name people and never end: {kinds}. Report this."
            return Finding("lifetimes", Level.BAD, detail)
        detail = f"Of {seen.looked_at} keys each that should end does."
        return Finding("lifetimes", Level.OK, detail)

    async def _deliveries(self, now_ms: int) -> list[Finding]:
        endpoints = await self._endpoints.all()
        active = [each for each in endpoints if each.state == "active"]
        living = await self._examination.forwarders(now_ms)
        sizes = [await outbox.size() for outbox in self._outboxes]
        unread = [each.oldest_unread_ms for each in sizes if each.oldest_unread_ms is not None]
        return [
            forwarders(living, active=len(active), disabled=len(endpoints) - len(active)),
            lag(now_ms - min(unread) if unread else 0),
            outbox(
                sum(each.bytes for each in sizes),
                cap_bytes=self._cap_bytes,
                lost=sum(each.lost for each in sizes),
            ),
        ]


def clock(skew_ms: float) -> Finding:
    """How far the server's clock is from that of this machine."""
    detail = f"The server's is {abs(skew_ms) / 1000:.1f} s {'ahead' if skew_ms > 0 else 'behind'}."
    if abs(skew_ms) >= _BADLY_SKEWED_MS:
        return Finding("clock", Level.BAD, f"{detail} Signatures fail and calls are misattributed.")
    level = Level.WARN if abs(skew_ms) >= _SKEWED_MS else Level.OK
    return Finding("clock", level, detail)


def layout(found: Mapping[str, str], *, shards: int) -> Finding:
    """Whether the data are of this version and of as many shards as are set."""
    if not found:
        return Finding("layout", Level.OK, "No data yet.")
    detail = f"Schema {found.get('schema')}, {found.get('shards')} shards."
    if found.get("schema") != SCHEMA_VERSION:
        return Finding("layout", Level.BAD, f"{detail} This version has schema {SCHEMA_VERSION}.")
    if found.get("shards") != str(shards):
        return Finding("layout", Level.BAD, f"{detail} DNI_SHARDS says {shards}.")
    return Finding("layout", Level.OK, detail)


def version(info: Mapping[str, str]) -> Finding:
    """Whether the server is new enough."""
    told = info.get("redis_version", "0")
    parts = tuple(int(part) for part in told.split(".")[:2] if part.isdigit())
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {told}"
    if parts < OLDEST_SERVER:
        return Finding("version", Level.BAD, f"{name}: 6.2 is the oldest that works.")
    return Finding("version", Level.OK, f"{name}.")


def persistence(info: Mapping[str, str], settings: Mapping[str, str | None]) -> Finding:
    """Whether what was answered survives a crash."""
    fsync = settings.get("appendfsync")
    if info.get("aof_enabled") == "1":
        if fsync == "no":
            detail = "appendfsync no: a crash of the machine loses half a minute of writes."
            return Finding("persistence", Level.WARN, detail)
        return Finding("persistence", Level.OK, f"A log of writes, appendfsync {fsync or '?'}.")
    if settings.get("save"):
        detail = "Snapshots only: a crash loses all since the last. Set appendonly yes."
        return Finding("persistence", Level.WARN, detail)
    detail = "None: a restart of the server loses everything. Set appendonly yes."
    return Finding("persistence", Level.BAD, detail)


def log_of_writes(info: Mapping[str, str]) -> Finding:
    """Whether the last writes to disk went well."""
    broken = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if broken:
        detail = f"Failed: {', '.join(broken)}. The disk is full, or not to be written to."
        return Finding("disk", Level.BAD, detail)
    if info.get("loading") == "1":
        return Finding("disk", Level.WARN, "The server is still loading its data.")
    return Finding("disk", Level.OK, "The last writes to disk went well.")


def eviction(info: Mapping[str, str]) -> Finding:
    """Whether the server would throw keys away."""
    policy = info.get("maxmemory_policy", "?")
    if policy == "noeviction":
        return Finding("eviction", Level.OK, "None.")
    limited = info.get("maxmemory", "0") != "0"
    detail = f"maxmemory-policy {policy}: every key is somebody's lease. Set noeviction."
    return Finding("eviction", Level.BAD if limited else Level.WARN, detail)


def memory(info: Mapping[str, str]) -> Finding:
    """How much room is left."""
    used, limit = int(info.get("used_memory", "0")), int(info.get("maxmemory", "0"))
    room = limit or int(info.get("total_system_memory", "0"))
    detail = f"{used / 2**20:.0f} MB used"
    if not room:
        return Finding("memory", Level.OK, f"{detail}.")
    share = used / room
    detail += f", {share:.0%} of {'maxmemory' if limit else 'the machine'}."
    level = Level.BAD if share > _FULL else Level.WARN if share > _NEARLY_FULL else Level.OK
    return Finding("memory", level, detail)


def replicas(info: Mapping[str, str], settings: Mapping[str, str | None]) -> Finding:
    """Whether somebody has a copy."""
    if info.get("role") in {"slave", "replica"}:
        return Finding("replicas", Level.BAD, "This is a replica: writes are refused, or lost.")
    following = int(info.get("connected_slaves", "0"))
    if following == 0:
        detail = "None: the data are as safe as this machine and your backups."
        return Finding("replicas", Level.WARN, detail)
    least = settings.get("min-replicas-to-write")
    if least == "0":
        detail = f"{following}. min-replicas-to-write 0: a primary cut off from them writes on."
        return Finding("replicas", Level.WARN, detail)
    return Finding("replicas", Level.OK, f"{following}, at least {least or '?'} to write.")


def forwarders(living: int, *, active: int, disabled: int) -> Finding:
    """Whether somebody delivers."""
    detail = f"{living} live, {active} endpoints"
    detail += f" and {disabled} disabled ones." if disabled else "."
    if active and not living:
        return Finding("forwarders", Level.BAD, f"{detail} Nobody delivers: start one.")
    return Finding("forwarders", Level.WARN if disabled else Level.OK, detail)


def lag(oldest_ms: int) -> Finding:
    """How long the oldest event has been waiting."""
    if oldest_ms <= 0:
        return Finding("lag", Level.OK, "No event waits.")
    level = (
        Level.BAD if oldest_ms > _VERY_LATE_MS else Level.WARN if oldest_ms > _LATE_MS else Level.OK
    )
    return Finding("lag", level, f"The oldest event waits for {oldest_ms / 1000:.0f} s.")


def outbox(size: int, *, cap_bytes: int, lost: int) -> Finding:
    """How full the outbox is, and whether it ever ran over."""
    detail = f"{size / 2**20:.0f} of {cap_bytes / 2**20:.0f} MB."
    if size >= cap_bytes:
        return Finding("outbox", Level.BAD, f"{detail} The oldest events are being dropped.")
    if lost:
        return Finding("outbox", Level.WARN, f"{detail} {lost} events were dropped undelivered.")
    return Finding("outbox", Level.WARN if size > cap_bytes / 2 else Level.OK, detail)
