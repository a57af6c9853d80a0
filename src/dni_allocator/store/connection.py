"""The connection to Redis/Valkey: addresses, topology, failure words.

The only module that decides how redis-py is set up. Everything above sees `Connection.execute`,
which raises `StoreUnavailable` for every way a server can be out of reach, and `NoScript`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TryAgainError,
)

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.store.clustered import Clustered
from dni_allocator.store.dialling import AWAY, CLOSED_UNDER_IT, Line
from dni_allocator.store.multiplexed import Multiplexed
from dni_allocator.store.refusals import refusal
from dni_allocator.store.script_times import ScriptTimes
from dni_allocator.store.scripts import Execute, NoScript, SendPacked

_PASSING = (
    ClusterDownError, MasterDownError, NoPermissionError, OutOfMemoryError, ReadOnlyError,
    TryAgainError,
)  # fmt: skip
"""What redis-py makes of the errors that `refusals` knows by their first word, which it drops."""

_OF_ALL = frozenset({"INFO", "CONFIG"})
"""Commands without a key that ask what each primary of a cluster says."""

_USUAL_PORT = 6379

_MOST_OF_A_NODE = 1_000
"""Connections to one node of a cluster. redis-py has no pool there in which a call waits its turn:
beyond this it fails at once."""


class Connection:
    """One server, a Sentinel-watched primary, or a cluster: by a pool, and by one shared pipe.

    `execute` is for everything: it takes a connection of redis-py's pool. `pipelined` is for
    scripts of the hot path: all calls share one connection, on a cluster one to each node.
    `send_packed` takes commands that are packed already; None on a cluster, where keys decide.
    `admit` is asked before that one is dialled, and raises `StoreUnavailable` to refuse.

    `url`: `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,host:port/name[/db]`,
    `redis+cluster://host:port,host:port`, `rediss+cluster://…`: of these nodes one is enough to
    find all others. Nothing is dialled before the first command.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 2.0,
        most_connections: int = 64,
        admit: Callable[[], None] | None = None,
    ) -> None:
        self.url = url
        try:
            self._client = _client(url, timeout_s=timeout_s, most_connections=most_connections)
        except (ValueError, RedisClusterException) as error:
            # Without its words: they repeat what may be a part of the password.
            message = (
                "DNI_REDIS_URL cannot be read. Characters of a password that mean something in an "
                "address (@ : / ? # [ ] %) are written as %40 and so on."
            )
            raise ConfigurationError(message) from error
        self.failures: Counter[tuple[str]] = Counter()
        """How often the server failed us, by kind; for the metrics."""
        self.failovers: Counter[tuple[()]] = Counter({(): 0})
        """How often another server became a primary: a Sentinel told another address, the server
        had become a replica, or a primary of a cluster was gone when INFO was asked of all."""
        self.script_times = ScriptTimes()
        self._primaries: frozenset[str] = frozenset()
        self.send_packed: SendPacked | None = None
        self._line: Line | None = None
        self._shared: Multiplexed | Clustered
        if isinstance(self._client, RedisCluster):
            self._shared = Clustered(
                self._client, timeout_s=timeout_s, failures=self.failures, times=self.script_times,
                others=self.execute, admit=admit,
            )  # fmt: skip
        else:
            # Without annotations in redis-py.
            self._line = Line(
                self._client.connection_pool.make_connection, admit=admit, took_over=self._took_over
            )
            self._shared = Multiplexed(
                self._line.dial, timeout_s=timeout_s, failures=self.failures,
                times=self.script_times, demoted=self._line.demoted,
            )  # fmt: skip
            self.send_packed = self._shared.send_packed
        self.pipelined: Execute = self._shared.execute

    async def execute(self, *command: str | bytes | int) -> object:
        """Send one command and return its reply, strings as bytes.

        A command whose reply was lost is sent once more on a new connection, so it may run
        twice: send only what is safe to repeat. INFO and CONFIG are asked of every primary of a
        cluster, answered by the name of each. Raises `StoreUnavailable`, `NoScript`.
        """
        began = perf_counter()
        try:
            if isinstance(self._client, RedisCluster):
                reply = await _ask_cluster(self._client, command)
                if command[0] in _OF_ALL and isinstance(reply, dict):
                    self._compare_primaries(frozenset(map(str, reply)))
            else:
                reply = await _ask(self._client, command)
        except NoScriptError as error:
            raise NoScript from error
        except _PASSING as error:
            self.failures[("refused",)] += 1
            message = f"The store refuses the command ({type(error).__name__})."
            raise StoreUnavailable(message) from error
        except ResponseError as error:
            self.failures[("refused",)] += 1
            raise refusal(str(error)) from error
        except AWAY as error:
            self.failures[("unreachable",)] += 1
            message = f"The store does not answer ({type(error).__name__})."
            raise StoreUnavailable(message) from error
        if command[0] == "EVALSHA":
            self.script_times.observe(str(command[1]), perf_counter() - began)
        return reply

    async def scan(self, pattern: str) -> AsyncIterator[str]:
        """All keys that match, on every node; some perhaps twice. O(keys), in bounded parts.

        Raises `StoreUnavailable`.
        """
        try:
            async for name in self._client.scan_iter(match=pattern, count=2_000):
                yield name.decode()
        except (*AWAY, *CLOSED_UNDER_IT) as error:
            message = f"The store does not answer ({type(error).__name__})."
            raise StoreUnavailable(message) from error

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        await self._shared.close()
        if self._line is not None:
            await self._line.hang_up()
        await self._client.aclose()
        if isinstance(self._client, Redis):
            pool = self._client.connection_pool
            if isinstance(pool, SentinelConnectionPool):
                await pool.sentinel_manager.aclose()

    def _took_over(self) -> None:
        self.failovers[()] += 1

    def _compare_primaries(self, names: frozenset[str]) -> None:
        self.failovers[()] += len(self._primaries - names)
        self._primaries = names

    async def __aenter__(self) -> Self:
        """Use as a context: closed at the end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()


async def _ask_cluster(client: RedisCluster, command: tuple[str | bytes | int, ...]) -> object:
    if command[0] in _OF_ALL:
        primaries = (await client.initialize()).get_primaries()
        return await client.execute_command(*command, target_nodes=primaries)
    return await _ask(client, command)


async def _ask(client: Redis | RedisCluster, command: tuple[str | bytes | int, ...]) -> object:
    try:
        return await client.execute_command(*command)
    except CLOSED_UNDER_IT:
        try:
            return await client.execute_command(*command)
        except CLOSED_UNDER_IT as error:
            message = "The connection to the store was closed under the call."
            raise StoreUnavailable(message) from error


def _client(url: str, *, timeout_s: float, most_connections: int) -> Redis | RedisCluster:
    # redis-py 8 would retry ten times over seconds by default; a page cannot wait for that. One
    # retry at once covers a connection that died while idle.
    retry = Retry(NoBackoff(), 1)
    parts = urlsplit(url)
    if parts.scheme in {"redis+cluster", "rediss+cluster"}:
        credentials, at, hosts = parts.netloc.rpartition("@")
        first, *others = hosts.split(",")
        scheme = parts.scheme.removesuffix("+cluster")
        return RedisCluster.from_url(
            urlunsplit(parts._replace(scheme=scheme, netloc=credentials + at + first)),
            startup_nodes=[_node(each) for each in others],
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=_MOST_OF_A_NODE,
            retry=retry,
            # A slot that moved is noted; by default, each fifth closes every connection instead.
            reinitialize_steps=0,
        )
    if parts.scheme == "redis+sentinel":
        return _sentinel_client(url, timeout_s=timeout_s, retry=retry)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        message = f"DNI_REDIS_URL: unknown scheme {parts.scheme!r}."
        raise ConfigurationError(message)
    # Blocking: with all connections taken a call waits for one, as long as for an answer.
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=most_connections,
        retry=retry,
    )
    return Redis.from_pool(pool)


def _node(address: str) -> ClusterNode:
    """A node to ask for the others; the client sets its connections up as those of the first."""
    parts = urlsplit(f"//{address}")
    if parts.hostname is None:
        message = "an address without a host"
        raise ValueError(message)
    return ClusterNode(parts.hostname, parts.port or _USUAL_PORT)


def _sentinel_client(url: str, *, timeout_s: float, retry: Retry) -> Redis:
    parts = urlsplit(url)
    path = [piece for piece in parts.path.split("/") if piece]
    if not path:
        message = "DNI_REDIS_URL: redis+sentinel://host:port[,host:port]/<service name>[/db]"
        raise ConfigurationError(message)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        addresses.append((name, int(port or 26379)))
    # They are asked one after the other, and who dials waits `timeout_s` for all of it: one that
    # stands still, perhaps on the primary's own machine, must leave time for the others.
    share_s = timeout_s / (len(addresses) + 1)
    each = {
        "socket_timeout": share_s,
        "socket_connect_timeout": share_s,
        "retry": Retry(NoBackoff(), 0),
    }
    # redis-py leaves Sentinel's constructor and master_for without annotations.
    sentinel = Sentinel(addresses, sentinel_kwargs=each)  # type: ignore[no-untyped-call]
    primary: Redis = sentinel.master_for(
        path[0],
        db=int(path[1]) if len(path) > 1 else 0,
        username=username or None,
        password=password or None,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=retry,
    )
    return primary
