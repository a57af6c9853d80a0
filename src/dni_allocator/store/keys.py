"""Every key the service keeps in Redis, by name.

A pool lives on one shard. All keys of a shard carry the same hash tag `{s<n>}`, so any script
over one pool and its shard's outbox is atomic on a cluster too. The directory keys (number ->
pool, publishable key -> pool) and the few global records carry no tag: each is used alone.

The layout, per key, is documented in docs/redis.md. Scripts receive full keys; the only keys a
script builds itself are those of visitors and of past holders that it finds inside (a declared
prefix plus the id).
"""

import zlib
from dataclasses import dataclass

PREFIX = "dni"


def shard_of(pool_id: str, *, shards: int) -> int:
    """The shard of a pool: CRC-32 of its id modulo the number of shards.

    Fixed for the life of the data, which is why `DNI_SHARDS` is checked at every start.
    """
    return zlib.crc32(pool_id.encode()) % shards


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """Keys that all pools of one shard share."""

    shard: int

    @property
    def tag(self) -> str:
        """The common prefix, hash tag included."""
        return f"{PREFIX}:{{s{self.shard}}}"

    @property
    def events(self) -> str:
        """STREAM: the outbox."""
        return f"{self.tag}:events"

    @property
    def pools(self) -> str:
        """SET of pool ids."""
        return f"{self.tag}:pools"

    @property
    def due(self) -> str:
        """ZSET pool id -> a lower bound of its earliest deadline, ms."""
        return f"{self.tag}:due"

    @property
    def server(self) -> str:
        """HASH: `id` of the server process that was seen last, `since` when it was another, ms."""
        return f"{self.due}:server"

    @property
    def calls(self) -> str:
        """ZSET call id -> started at, ms: of all pools of the shard; with a TTL."""
        return f"{self.tag}:calls"

    @property
    def erasing(self) -> str:
        """HASH visitor -> since when they are being erased, ms; with a TTL."""
        return f"{self.tag}:erasing"

    @property
    def cursors(self) -> str:
        """HASH webhook endpoint id -> last entry it is done with; `~` before it: suspended."""
        return f"{self.tag}:cursors"

    def forwarder_lock(self, endpoint_id: str) -> str:
        """STRING with a TTL: which forwarder process serves this endpoint's part of the shard."""
        return f"{self.tag}:fwd:{endpoint_id}:lock"

    def retries(self, endpoint_id: str) -> str:
        """ZSET outbox entry id -> due at, ms: events this endpoint failed to take."""
        return f"{self.tag}:fwd:{endpoint_id}:retries"

    def dead_letters(self, endpoint_id: str) -> str:
        """ZSET outbox entry id -> dead since, ms: events this endpoint will never take."""
        return f"{self.tag}:fwd:{endpoint_id}:dead"

    def parked(self, endpoint_id: str) -> str:
        """HASH outbox entry id -> copy of the event with its attempts, JSON.

        For the entries in `retries` and `dead_letters`: their originals may have been trimmed.
        """
        return f"{self.tag}:fwd:{endpoint_id}:parked"

    def health(self, endpoint_id: str) -> str:
        """HASH: `taken` last success, `since` first failure after it, `failed` last failure, ms."""
        return f"{self.tag}:fwd:{endpoint_id}:health"

    def attempts(self, endpoint_id: str) -> str:
        """STREAM of delivery attempts that were taken, the newest, with a TTL."""
        return f"{self.tag}:fwd:{endpoint_id}:attempts"

    def failures(self, endpoint_id: str) -> str:
        """STREAM of those that failed: a burst of successes must not wash them away."""
        return f"{self.tag}:fwd:{endpoint_id}:failures"

    def ledger(self, name: str) -> str:
        """HASH id -> record, JSON: `purchases`, `releases`, `decisions` (`store.ledger`)."""
        return f"{self.tag}:{name}"

    @property
    def scaled(self) -> str:
        """SET of the pools that scale."""
        return f"{self.tag}:scaled"

    def ledger_log(self, name: str) -> str:
        """ZSET id -> created at, ms."""
        return f"{self.tag}:{name}:log"

    def ledger_open(self, name: str) -> str:
        """ZSET id -> when to look at it next, ms: those that are not closed."""
        return f"{self.tag}:{name}:open"

    @property
    def tally(self) -> str:
        """HASH: `trimmed` how far the outbox was trimmed, `lost` entries the cap dropped unread."""
        return f"{self.tag}:tally"

    @property
    def history(self) -> str:
        """Prefix of the buckets of pools, HASHes with a TTL (`store.history`)."""
        return f"{self.tag}:history:"

    @property
    def history_position(self) -> str:
        """STRING: the last outbox entry that is in the history."""
        return f"{self.tag}:history-position"

    @property
    def history_lock(self) -> str:
        """STRING with a TTL: which process collects history here."""
        return f"{self.tag}:history-lock"


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """Keys of one pool, all written out: they are needed by every call, and made once.

    Those ending in a colon are prefixes.
    """

    shard: ShardKeys
    pool_id: str
    prefix: str
    """Of all of them, for a script that builds those it seldom needs."""
    conf: str
    """HASH: `rev` (bumped by every edit), `doc` (the settings, JSON), `fence` (lease count)."""
    numbers: str
    """HASH number -> packed number, see `lua/lib/records.lua`."""
    shelves: str
    """HASH shelf -> numbers attached on it, free or leased."""
    free: str
    """Prefix of `free:<shelf>`, ZSET number -> released at, ms."""
    leased: str
    """ZSET number -> deadline, ms."""
    holders: str
    """HASH number -> packed holder, the present or the last one."""
    past: str
    """Prefix of `past:<number>`, LIST of packed earlier holders, newest first, with a TTL."""
    visitors: str
    """Prefix of `v:<visitor>`, HASH of claims (`l`) and open pages, with a TTL."""
    drained: str
    """SET of numbers that left when their lease ended; the directory has yet to hear of it."""
    stats: str
    """HASH of counters since the pool was made."""
    places: str
    """HASH shelf -> where its numbers belong, JSON text (`domain.place`)."""
    orders: str
    """HASH destination -> shelves in the order they are tried; made anew after any change."""
    resting: str
    """ZSET number in quarantine -> until, ms."""
    notes: str
    """HASH number in quarantine -> since and why, JSON text."""
    suggested: str
    """ZSET destination that pages show and the pool does not know -> last seen, ms; with a TTL."""
    upkeep: str
    """HASH: what the pool's numbers cost, its rules of scaling, the latest decisions."""
    limits: str
    """Prefix of what the rate limits remember; each with a TTL of a day at most."""
    calls: str
    """ZSET call id -> started at, ms; with a TTL."""
    call: str
    """Prefix of `call:<call id>`, STRING, the call as JSON text, with a TTL."""
    callers: str
    """Prefix of `caller:<keyed hash>`, HASH number they dialed -> packed memory, with a TTL."""
    leaks: str
    """Prefix of who dialed a number or a lease's number, and of alarms; with a TTL of a day."""

    @classmethod
    def of(cls, shard: ShardKeys, pool_id: str) -> "PoolKeys":
        """Write out the keys of a pool on its shard."""
        base = f"{shard.tag}:{pool_id}"
        return cls(
            shard=shard,
            pool_id=pool_id,
            prefix=f"{base}:",
            conf=f"{base}:conf",
            numbers=f"{base}:numbers",
            shelves=f"{base}:shelves",
            free=f"{base}:free:",
            leased=f"{base}:leased",
            holders=f"{base}:holders",
            past=f"{base}:past:",
            visitors=f"{base}:v:",
            drained=f"{base}:drained",
            stats=f"{base}:stats",
            places=f"{base}:places",
            orders=f"{base}:orders",
            resting=f"{base}:resting",
            notes=f"{base}:notes",
            suggested=f"{base}:suggested",
            upkeep=f"{base}:upkeep",
            limits=f"{base}:limit:",
            calls=f"{base}:calls",
            call=f"{base}:call:",
            callers=f"{base}:caller:",
            leaks=f"{base}:leak:",
        )

    def for_ending(self) -> dict[str, str]:
        """The keys of every script that may end leases (`lua/lib/ending.lua`), by their names."""
        return {
            "conf": self.conf,
            "leased": self.leased,
            "holders": self.holders,
            "numbers": self.numbers,
            "shelves": self.shelves,
            "stats": self.stats,
            "events": self.shard.events,
            "due": self.shard.due,
            "drained": self.drained,
            "free": self.free,
            "past": self.past,
            "visitors": self.visitors,
            "places": self.places,
            "orders": self.orders,
        }


def number_directory(number: str) -> str:
    """STRING: which pool has this number (see `store.directory` for the values)."""
    return f"{PREFIX}:number:{number}"


def site_key_directory(site_key: str) -> str:
    """STRING: which pool this publishable key opens."""
    return f"{PREFIX}:key:{site_key}"


def session(token_hash: str) -> str:
    """STRING with a TTL: digest of the secret key that a session of the dashboard stands for."""
    return f"{PREFIX}:session:{token_hash}"


def provider_call(name_hash: str) -> str:
    """STRING with a TTL: id of the call that a provider knows by another name."""
    return f"{PREFIX}:call:{name_hash}"


META = f"{PREFIX}:meta"
"""HASH: schema version, number of shards, key of the callers' hashes; each written once."""

ADMIN_KEYS = f"{PREFIX}:admin-keys"
"""HASH SHA-256 of a secret key -> its record, JSON."""

MIGRATING = f"{PREFIX}:migrating"
"""STRING with a TTL: which process brings the layout up to its version."""

AUDIT = f"{PREFIX}:audit"
"""STREAM of changes of the administration, with a TTL."""

WEBHOOKS = f"{PREFIX}:webhooks"
"""HASH webhook endpoint id -> its record, JSON."""

SITES = f"{PREFIX}:sites"
"""HASH site id -> its record, JSON."""

SANDBOX = f"{PREFIX}:sandbox"
"""HASH fictional number that was sold -> reference of its order."""

BUYER = f"{PREFIX}:buyer"
"""STRING with a TTL: which process follows orders and scales pools."""

TRAFFIC_SOURCES = f"{PREFIX}:traffic-sources"
"""HASH traffic source id -> its record, JSON."""

FORWARDERS = f"{PREFIX}:forwarders"
"""ZSET token of a forwarder process -> last sign of life, ms."""
