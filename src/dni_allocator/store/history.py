"""The history of pools: buckets of minutes and hours, and what still has to be added to them.

Buckets are made of outbox entries, behind a position of their own on each shard, so that the calls
of the tag pay nothing for them; what has no event is sampled. Knows nothing of who does it when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.history import HOUR_MS, Bucket, Change, Resolution, Tally
from dni_allocator.store.keys import ShardKeys
from dni_allocator.store.replies import count, mapping, text, texts
from dni_allocator.store.scripts import Value, load
from dni_allocator.store.shards import Shards

_LOCK: Final = load("outbox_lock")
_FOLD: Final = load("history_fold")
_SAMPLE: Final = load("history_sample")

_DAY_MS: Final = 24 * HOUR_MS
_SLACK_MS: Final = HOUR_MS
_ASSIGNED: Final = b"number.assigned"
_ENDED: Final = b"lease.ended"
SAMPLE_BATCH: Final = 100
"""Pools looked at by one script: some 0.5 ms."""


class HistoryStore:
    """Raises `StoreUnavailable` throughout."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._kept = {
            "minutes_kept": Resolution.MINUTE.kept_ms + HOUR_MS + _SLACK_MS,
            "hours_kept": Resolution.HOUR.kept_ms + _DAY_MS + _SLACK_MS,
        }

    def shards(self) -> list[ShardKeys]:
        """Every shard."""
        return self._shards.all()

    async def lock(self, shard: ShardKeys, *, token: str, ttl_ms: int) -> bool:
        """Take or keep the right to add to a shard's history; False: somebody else does."""
        reply = await _LOCK.run(
            self._shards.execute, {"lock": shard.history_lock, "token": token, "ttl": ttl_ms}
        )
        return reply[0] == b"MINE"

    async def position(self, shard: ShardKeys) -> str:
        """The last entry of the outbox that is in the history; "" at the beginning."""
        found = await self._shards.execute("GET", shard.history_position)
        return found.decode() if isinstance(found, bytes) else ""

    async def changes(
        self, shard: ShardKeys, *, after: str, limit: int
    ) -> tuple[list[Change], str, bool]:
        """Changes behind a position, where that leads, and whether there may be more."""
        found = await self._shards.execute(
            "XRANGE", shard.events, f"({after}" if after else "-", "+", "COUNT", limit
        )
        rows = found if isinstance(found, list) else []
        changes = []
        for row in rows:
            change = _change(row[1])
            if change is not None:
                changes.append(change)
        return changes, text(rows[-1][0]) if rows else after, len(rows) == limit

    async def fold(
        self,
        shard: ShardKeys,
        tallies: Mapping[tuple[str, int], Tally],
        *,
        start: str,
        end: str,
    ) -> bool:
        """Add tallies and move the position; False: somebody else was quicker, nothing changed."""
        rows: list[Value] = []
        for (pool_id, minute), each in tallies.items():
            sums = (each.arrivals, each.returned, each.closed, each.idle, each.otherwise)
            gaps = " ".join(f"{number}:{times}" for number, times in each.gaps.items())
            rows += [pool_id, minute, " ".join(map(str, (*sums, each.hold_ms))), gaps]
        reply = await _FOLD.run(
            self._shards.execute,
            {
                "position": shard.history_position,
                "history": shard.history,
                "was": start,
                "becomes": end,
                **self._kept,
            },
            rows,
        )
        return reply[0] == b"OK"

    async def sample(self, shard: ShardKeys) -> None:
        """Note how full the pools of a shard are. O(pools), `SAMPLE_BATCH` in a script."""
        pools = sorted(texts(await self._shards.execute("SMEMBERS", shard.pools)))
        for start in range(0, len(pools), SAMPLE_BATCH):
            await _SAMPLE.run(
                self._shards.execute,
                {
                    "tag": f"{shard.tag}:",
                    "history": shard.history,
                    "given_now": self._shards.clock(),
                    **self._kept,
                },
                pools[start : start + SAMPLE_BATCH],
            )

    async def now_ms(self) -> int:
        """The store's time, which is the one buckets go by."""
        given = self._shards.clock()
        if given:
            return int(given)
        reply = await self._shards.execute("TIME")
        if not isinstance(reply, (list, tuple)):  # redis-py makes a tuple of it
            raise StoreUnavailable("The store did not tell the time.")
        seconds, micros = reply
        return count(seconds) * 1000 + count(micros) // 1000

    async def buckets(
        self, pool_id: str, resolution: Resolution, *, start_ms: int, end_ms: int
    ) -> dict[int, Bucket]:
        """Buckets that begin in `start_ms` to before `end_ms` and in which something was noted.

        By their start. One read for each hour of minutes, or day of hours.
        """
        shard = self._shards.pool(pool_id).shard
        kind = "m" if resolution is Resolution.MINUTE else "h"
        period_ms = HOUR_MS if resolution is Resolution.MINUTE else _DAY_MS
        result = {}
        for period in range(start_ms // period_ms, -(-end_ms // period_ms)):
            found = await self._shards.execute(
                "HGETALL", f"{shard.history}{pool_id}:{kind}:{period}"
            )
            for name, packed in mapping(found).items():
                at_ms = period * period_ms + int(name) * resolution.ms
                if start_ms <= at_ms < end_ms:
                    bucket = _unpacked(at_ms, packed)
                    if resolution is Resolution.MINUTE:
                        bucket = replace(bucket, busiest_minute=bucket.arrivals)
                    result[at_ms] = bucket
        return dict(sorted(result.items()))


def _change(raw: object) -> Change | None:
    """A begin or an end of a lease; None for other events, and for what cannot be read."""
    if isinstance(raw, dict):  # as redis-py gives it under RESP3
        fields = raw
    elif isinstance(raw, list):
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
    else:
        return None
    kind = fields.get(b"t")
    ended = kind == _ENDED
    if not ended and kind != _ASSIGNED:
        return None
    try:
        before = fields.get(b"s" if ended else b"g")
        return Change(
            ended,
            fields[b"p"].decode(),
            int(float(fields[b"w"])),
            fields.get(b"r", b"").decode(),
            int(float(before)) if before else None,
        )
    except (KeyError, ValueError, OverflowError):
        return None


def _unpacked(at_ms: int, packed: str) -> Bucket:
    sums, _, told = packed.partition("|")
    gaps: dict[int, int] = {}
    for part in told.split():
        number, _, times = part.partition(":")
        gaps[int(number)] = int(times)
    return Bucket(
        start_ms=at_ms, gaps=gaps, **dict(zip(_PACKED, map(int, sums.split()), strict=False))
    )


_PACKED: Final[Sequence[str]] = (
    "arrivals", "returned", "closed", "idle", "otherwise", "hold_ms", "overflow", "turned_away",
    "samples", "leased_sum", "numbers_sum", "leased_peak", "busiest_minute",
)  # fmt: skip
"""The fields of a packed bucket in their order, see `lua/lib/buckets.lua`."""
