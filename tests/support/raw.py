"""Call a script of the store by name and see its reply as it is: `{STATUS, strings…}`."""

from collections.abc import Sequence

from dni_allocator.store import keys
from dni_allocator.store.scripts import Value, load
from tests.support.rig import SETTINGS, SHOP, Rig

WINDOW_MS = SETTINGS.attribution_window_s * 1000


async def call(
    rig: Rig, name: str, *, pool_id: str = "pool_a", rest: Sequence[Value] = (), **given: Value
) -> list[str]:
    """Run `name` on a pool: keys and the usual arguments are filled in, `given` wins."""
    script = load(name)
    at = rig.shards.pool(pool_id)
    known: dict[str, Value] = {
        "conf": at.conf, "leased": at.leased, "holders": at.holders, "numbers": at.numbers,
        "shelves": at.shelves, "stats": at.stats, "drained": at.drained, "free": at.free,
        "past": at.past, "visitors": at.visitors, "events": at.shard.events,
        "due": at.shard.due, "pools": at.shard.pools, "keys": keys.ADMIN_KEYS,
        "places": at.places, "orders": at.orders, "resting": at.resting, "notes": at.notes,
        "suggested": at.suggested, "upkeep": at.upkeep, "limits": at.limits,
        "signs": at.limits + "s:" + str(given.get("number", "")),
        "call": at.call + str(given.get("call_id", "")),
        "of_pool": at.calls, "of_shard": at.shard.calls,
        "caller": at.callers + str(given.get("caller_hash", "")),
        "suspects": at.leaks + "number:" + str(given.get("number", "")),
        "alarm": at.leaks + "alarm:" + str(given.get("number", "")),
        "visitor": at.visitors + str(given.get("visitor_id", "ann")),
        "history": at.past + str(given.get("number", "")),
        "given_now": rig.clock(), "rev": 1, "pool_id": pool_id, "visitor_id": "ann",
        "page_id": "page", "idle": 300_000, "delay": 30_000, "window": WINDOW_MS,
        "selection": "least_recently_released", "overflow": "", "data": "", "force": 0,
        "limit": 100, "policy": "", "address": "", "browser": "", "pool": at.prefix,
        "unshelves": "", "done": "",
        "destination": SHOP, "position": at.shard.history_position, "tag": f"{at.shard.tag}:",
        "minutes_kept": 172_800_000, "hours_kept": 3_024_000_000,
    }  # fmt: skip
    values = {each: {**known, **given}[each] for each in (*script.keys, *script.args)}
    reply = await script.run(rig.execute, values, rest)
    return [part.decode() for part in reply]


def row(destination: str = SHOP, *, previous: str = "") -> list[str]:
    """One row of `assign`."""
    return [destination, previous]
