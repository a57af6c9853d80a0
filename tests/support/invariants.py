"""What is true of the whole keyspace after any sequence of operations.

Reads everything there is, so it is for test data only. Written from docs and DESIGN, not from the
scripts: it knows the layout of the keys and nothing of how they are changed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

import redis
from redis.exceptions import ResponseError

_POOL = r"dni:\{s\d+\}:(?P<pool>pool_\w+):"
_KNOWN_KEYS = re.compile(
    r"dni:(?:meta|admin-keys|audit|webhooks|forwarders|sites|traffic-sources|sandbox|buyer)"
    r"|dni:migrating"
    r"|dni:key:[\x21-\x7e]+"
    r"|dni:number:\+\d+"
    r"|dni:\{s\d+\}:(?:events|pools|due|due:server|cursors|tally|calls|erasing|scaled)"
    r"|dni:\{s\d+\}:(?:history-position|history-lock|history:pool_\w+:(?:[mh]:\d+|seen))"
    r"|dni:\{s\d+\}:(?:purchases|releases|decisions)(?::log|:open)?"
    r"|dni:call:[0-9a-f]{32}"
    r"|dni:session:[0-9a-f]{64}"
    r"|dni:\{s\d+\}:fwd:whe_\w+:(?:lock|retries|dead|parked|health|attempts|failures)"
    rf"|{_POOL}(?:conf|numbers|shelves|leased|holders|drained|stats)"
    rf"|{_POOL.replace('P<pool>', 'P<d>')}(?:places|orders|resting|notes|suggested|upkeep)"
    # New leases of a visitor and of a network, live leases of a network, signs of spam.
    rf"|{_POOL.replace('P<pool>', 'P<e>')}limit:"
    r"(?:v:[A-Za-z0-9_.~-]+|[al]:[0-9a-f.:/]+|s:\+\d+)"
    rf"|{_POOL.replace('P<pool>', 'P<f>')}(?:calls|call:call_\w+|caller:[0-9a-f]{{32}})"
    rf"|{_POOL.replace('P<pool>', 'P<g>')}leak:(?:alarm:\+\d+|number:\+\d+|lease:\d+)"
    rf"|{_POOL.replace('P<pool>', 'P<a>')}free:\w+"
    rf"|{_POOL.replace('P<pool>', 'P<b>')}past:\+\d+"
    rf"|{_POOL.replace('P<pool>', 'P<c>')}v:[A-Za-z0-9_.~-]+"
)
_NAMES_A_VISITOR = re.compile(
    r":pool_\w+:(?:(?:v|past|limit|call|caller|leak):.+|suggested)$|:(?:calls|erasing)$|^dni:(?:call|session):"
)
"""Visitors, their networks, callers, calls, or what pages showed: nothing is kept for ever."""

_DAY_MS = 86_400_000
_QUARANTINE = "quarantined"
_SET_ASIDE = {_QUARANTINE, "held"}
_THE_SHELF = "any"

Value = str | dict[str, str] | list[str] | frozenset[str] | dict[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: its value, and how long it lives yet (ms; -1: for ever)."""

    value: Value
    ttl_ms: int


def dump(client: redis.Redis) -> dict[str, Entry]:
    """The whole keyspace by key, streams as their number of entries."""
    names = sorted(name.decode() for name in client.scan_iter("*", count=1000))
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name)
            pipe.pttl(name)
        described = pipe.execute()
    kinds = [kind.decode() for kind in described[::2]]
    with client.pipeline(transaction=False) as pipe:
        for name, kind in zip(names, kinds, strict=True):
            match kind:
                case "hash":
                    pipe.hgetall(name)
                case "zset":
                    pipe.zrange(name, 0, -1, withscores=True)
                case "set":
                    pipe.smembers(name)
                case "list":
                    pipe.lrange(name, 0, -1)
                case "stream":
                    pipe.xlen(name)
                case _:
                    pipe.get(name)
        values = pipe.execute()
    return {
        name: Entry(_as_text(value), ttl_ms)
        for name, value, ttl_ms in zip(names, values, described[1::2], strict=True)
        if value is not None
    }


def contents(client: redis.Redis) -> dict[str, Value]:
    """The keyspace without the remaining lifetimes, to compare before and after."""
    return {name: entry.value for name, entry in dump(client).items()}


def scores(client: redis.Redis, name: str) -> dict[str, float]:
    """A sorted set as member -> score."""
    value = _as_text(client.zrange(name, 0, -1, withscores=True))
    return {str(key): float(each) for key, each in value.items()} if isinstance(value, dict) else {}


def check(client: redis.Redis) -> None:
    """Fail with every broken invariant, each as one sentence."""
    try:
        found = dump(client)
    except (redis.ConnectionError, ResponseError) as error:
        raise AssertionError(f"the keyspace cannot be read: {error}") from error
    broken = [*_names(found), *_directory(found)]
    for shard, pool_id in _pools(found):
        broken += _PoolView(found, shard=shard, pool_id=pool_id).broken()
    assert not broken, "\n".join(broken)


def _as_text(value: object) -> Value:
    match value:
        case bytes():
            return value.decode()
        case dict():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case set():
            return frozenset(_plain(each) for each in value)
        case list() if value and isinstance(value[0], (tuple, list)):
            return {_plain(name): float(score) for name, score in value}
        case list():
            return [_plain(each) for each in value]
        case _:
            return str(value)


def _plain(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _names(found: Mapping[str, Entry]) -> Iterator[str]:
    for name, entry in found.items():
        if not _KNOWN_KEYS.fullmatch(name):
            yield f"{name!r} is no key of the layout"
        if _NAMES_A_VISITOR.search(name) and entry.ttl_ms < 0:
            yield f"{name} names a visitor and never expires"
        if ":limit:" in name and entry.ttl_ms > _DAY_MS:
            yield f"{name} is remembered for {entry.ttl_ms} ms, more than a day"


def _pools(found: Mapping[str, Entry]) -> set[tuple[str, str]]:
    pattern = re.compile(r"(dni:\{s\d+\}):(pool_\w+):")
    matches = (pattern.match(name) for name in found)
    return {(match[1], match[2]) for match in matches if match}


def _directory(found: Mapping[str, Entry]) -> Iterator[str]:
    """The directory names one pool a number; the pools that have a number must be that one."""
    has: dict[str, list[str]] = {}
    for shard, pool_id in _pools(found):
        if f"{shard}:{pool_id}:conf" in found:
            for number in _map(found, f"{shard}:{pool_id}:numbers"):
                has.setdefault(number, []).append(pool_id)
    for number, pools in has.items():
        if len(pools) > 1:
            yield f"{number} is in the inventory of {sorted(pools)}"
        entry = found.get(f"dni:number:{number}")
        if entry is None or entry.value not in {f"={pool}" for pool in pools}:
            yield f"{number} is in {pools}, but the directory says {entry and entry.value}"


def _map(found: Mapping[str, Entry], name: str) -> dict[str, str]:
    entry = found.get(name)
    value = {} if entry is None else entry.value
    assert isinstance(value, dict), f"{name} is {type(value).__name__}"
    return {key: str(each) for key, each in value.items()}


def _scores(found: Mapping[str, Entry], name: str) -> dict[str, float]:
    return {member: float(score) for member, score in _map(found, name).items()}


class _PoolView:
    """One pool of a dump, taken apart."""

    def __init__(self, found: Mapping[str, Entry], *, shard: str, pool_id: str) -> None:
        base = f"{shard}:{pool_id}"
        self._found = found
        self._base = base
        self._pool_id = pool_id
        self._conf = _map(found, f"{base}:conf")
        self._numbers = _map(found, f"{base}:numbers")
        self._leased = _scores(found, f"{base}:leased")
        self._holders = _map(found, f"{base}:holders")
        self._shelves = {name: int(n) for name, n in _map(found, f"{base}:shelves").items()}
        self._free = {
            name.rpartition(":")[2]: _scores(found, name)
            for name in found
            if name.startswith(f"{base}:free:")
        }
        drained = found.get(f"{base}:drained")
        self._drained = frozenset() if drained is None else drained.value
        self._due = _scores(found, f"{shard}:due")
        self._resting = _scores(found, f"{base}:resting")
        self._notes = _map(found, f"{base}:notes")
        self._places_of = _map(found, f"{base}:places")
        self._orders = _map(found, f"{base}:orders")

    def broken(self) -> Iterator[str]:
        if not self._conf:
            left = (self._numbers, self._leased, self._holders, self._free, self._resting,
                    self._notes, self._places_of, self._orders)  # fmt: skip
            if any(left):
                yield f"{self._pool_id} was deleted, but not all of it"
            return
        yield from self._places()
        yield from self._claims()
        yield from self._quarantines()
        yield from self._matching()
        ends = [at for at in (*self._leased.values(), *self._resting.values()) if at != inf]
        if ends:
            bound = self._due.get(self._pool_id)
            if bound is None or bound > min(ends):
                yield f"{self._pool_id} is due at {bound}, its first deadline is {min(ends)}"

    def _places(self) -> Iterator[str]:
        """Free + leased = inventory: each number in exactly one place."""
        places: dict[str, list[str]] = {number: [] for number in self._numbers}
        for shelf, members in self._free.items():
            for number in members:
                places.setdefault(number, []).append(f"shelf {shelf}")
                own, state = self._shelf_and_state(number)
                if (_QUARANTINE if state in _SET_ASIDE else own) != shelf:
                    yield f"{number} lies on shelf {shelf}, its record says {own!r}, {state!r}"
        for number in self._leased:
            places.setdefault(number, []).append("leased")
        for number, where in places.items():
            if number not in self._numbers:
                yield f"{number} is {where} and not attached"
            elif len(where) != 1:
                yield f"{number} is in {len(where)} places: {where}"
        for number in self._numbers:
            if number in self._drained:
                yield f"{number} is attached and drained at once"
        yield from self._counts()

    def _shelf_and_state(self, number: str) -> tuple[str, str]:
        shelf, _, rest = self._numbers.get(number, "").partition("\t")
        return shelf, rest.partition("\t")[0]

    def _quarantines(self) -> Iterator[str]:
        """State, end and reason of a quarantine: all three, or none."""
        by_state = {n for n in self._numbers if self._shelf_and_state(n)[1] in _SET_ASIDE}
        if not by_state == self._resting.keys() == self._notes.keys():
            yield (
                f"{self._pool_id} has {sorted(by_state)} in quarantine, ends of"
                f" {sorted(self._resting)}, reasons of {sorted(self._notes)}"
            )
        for number in self._numbers:
            state = self._shelf_and_state(number)[1]
            if state not in {"", "draining", *_SET_ASIDE}:
                yield f"{number} has the unknown state {state!r}"
            if state == "draining" and number not in self._leased:
                yield f"{number} is draining and held by nobody"

    def _matching(self) -> Iterator[str]:
        """Every shelf of a place is known, and orders name known shelves only, each once."""
        for shelf in self._shelves.keys() - self._places_of.keys() - {_THE_SHELF}:
            yield f"shelf {shelf} of {self._pool_id} has numbers and no place"
        for destination, order in self._orders.items():
            named = [shelf for shelf in re.split("[,|]", order) if shelf]
            if len(named) != len(set(named)) or not self._places_of.keys() >= set(named):
                yield f"the order {order!r} for {destination} names shelves twice, or unknown ones"

    def _counts(self) -> Iterator[str]:
        counted: dict[str, int] = {}
        for packed in self._numbers.values():
            shelf = packed.partition("\t")[0]
            counted[shelf] = counted.get(shelf, 0) + 1
        if counted != self._shelves:
            yield f"{self._pool_id} counts {self._shelves} on its shelves, there are {counted}"

    def _claims(self) -> Iterator[str]:
        """Holder and visitor agree about each lease, by owner and fence; fences are unique."""
        fences: set[str] = set()
        for number, packed in self._holders.items():
            visitor, destination, _, fence, _ = packed.split("\t", 4)
            if fence in fences or int(fence) > int(self._conf.get("fence", 0)):
                yield f"{number} has fence {fence}, which another has, or which was never given"
            fences.add(fence)
            if number not in self._numbers:
                yield f"{number} has a holder and is not attached"
            if number in self._leased:
                claims = _map(self._found, f"{self._base}:v:{visitor}").get("l", "")
                if f"{destination}\t{number}\t{fence}\t" not in claims:
                    yield f"{number} is leased to {visitor}, whose record says {claims!r}"
        for number in self._leased.keys() - self._holders.keys():
            yield f"{number} is leased to nobody"
