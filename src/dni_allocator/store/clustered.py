"""A cluster by one shared connection a node: each call goes to the node that has its slot.

Which node that is, and how it is connected to, is redis-py's: its client for a cluster keeps the
map and dials. Why calls do not go through it as well: a renewal costs this process 124 µs there,
and 20 µs over a shared connection (docs/scale.md, ADR 38).

The map is corrected by what nodes say (MOVED), and asked for anew when a node is away, down or not
ready. Then a call is tried once more if its slot has another owner now; if not, it is refused, and
the caller answers 503. So nobody waits for an election.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import MovedError

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.dialling import AWAY, CLOSED_UNDER_IT, Line
from dni_allocator.store.multiplexed import Multiplexed
from dni_allocator.store.refusals import Redirected, Refused
from dni_allocator.store.script_times import ScriptTimes
from dni_allocator.store.scripts import Execute, Value

_KEY_FIRST: Final = frozenset({
    "DEL", "GET", "HDEL", "HGET", "HGETALL", "HLEN", "HMGET", "HSCAN", "HSET", "HSETNX", "PTTL",
    "SET", "SMEMBERS", "TYPE", "ZCARD", "ZMSCORE", "ZSCORE",
})  # fmt: skip
"""Commands whose first argument is their key, or the first of keys with one hash tag."""

_SCRIPTS: Final = frozenset({"EVALSHA", "EVAL"})
_FIRST_KEY_OF_A_SCRIPT: Final = 3

_TRIES: Final = 3
"""The first, one where a node pointed to, one by a new map."""

_ASK_AGAIN_S: Final = 0.1
"""So long a map just asked for is new enough for others whose call failed too."""

_WHILE_A_KEY_MOVES_S: Final = 0.05
"""TRYAGAIN: some keys of the script are on either node. They follow each other soon."""


class Clustered:
    """One `Multiplexed` to each node that serves slots we use.

    `others` takes the commands whose slot cannot be seen from here: PING, TIME and the like.
    """

    def __init__(
        self,
        client: RedisCluster,
        *,
        timeout_s: float,
        failures: Counter[tuple[str]],
        times: ScriptTimes,
        others: Execute,
        admit: Callable[[], None] | None = None,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._failures = failures
        self._times = times
        self._others = others
        self._admit = admit
        self._lines: dict[str, Line] = {}
        self._nodes: dict[str, Multiplexed] = {}
        self._of_slot: dict[int, Multiplexed] = {}
        """What the map says, for the slots that were used since it last changed."""
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._closed = False

    async def execute(self, *command: str | bytes | int) -> object:
        """Send one command to the node of its key and return its reply, strings as bytes.

        Raises as `Multiplexed.execute` does.
        """
        key = _key(command)
        if key is None:
            return await self._others(*command)
        slot = key_slot(key.encode() if isinstance(key, str) else key)
        shared: Multiplexed | None = None
        try:
            shared = self._of_slot.get(slot) or await self._serving(slot)
            return await shared.execute(*command)
        except (Redirected, StoreUnavailable) as trouble:
            return await self._try_again(command, slot, shared, trouble)

    async def _try_again(
        self,
        command: tuple[Value, ...],
        slot: int,
        asked: Multiplexed | None,
        trouble: Redirected | StoreUnavailable,
    ) -> object:
        for _ in range(_TRIES - 1):
            try:
                if isinstance(trouble, Redirected):
                    asked = await self._pointed_to(trouble, asked)
                    if trouble.only_now:
                        return await asked.execute_asking(*command)
                elif isinstance(trouble, Refused) and trouble.word == "TRYAGAIN":
                    await asyncio.sleep(_WHILE_A_KEY_MOVES_S)
                    asked = await self._serving(slot)
                else:
                    asked = await self._elsewhere(slot, asked, trouble)
                return await asked.execute(*command)
            except (Redirected, StoreUnavailable) as again:
                if again is trouble:
                    break
                trouble = again
        if isinstance(trouble, Redirected):
            message = "The nodes of the cluster point to each other."
            raise StoreUnavailable(message) from trouble
        raise trouble

    async def _serving(self, slot: int) -> Multiplexed:
        """The shared connection to the node that has a slot, by the map there is."""
        if self._closed:
            message = "The connection to the store was closed."
            raise StoreUnavailable(message)
        manager = self._client.nodes_manager
        if slot not in manager.slots_cache:
            await self._ask_for_the_map(failed=None)
        found = manager.slots_cache.get(slot)
        if not found:
            message = "The cluster cannot be reached, or nobody serves this part of it."
            raise StoreUnavailable(message)
        shared = self._of_slot[slot] = self._to(found[0])
        return shared

    async def _elsewhere(
        self, slot: int, asked: Multiplexed | None, trouble: StoreUnavailable
    ) -> Multiplexed:
        """Who has the slot by a new map; raises `trouble` where that is who failed."""
        failed = next((name for name, node in self._nodes.items() if node is asked), None)
        await self._ask_for_the_map(failed=failed)
        shared = await self._serving(slot)
        if shared is asked:
            raise trouble
        return shared

    async def _pointed_to(self, told: Redirected, asked: Multiplexed | None) -> Multiplexed:
        self._failures[("moved",)] += 1
        manager = self._client.nodes_manager
        host = told.host or self._host_of(asked)
        if not told.only_now:
            await manager.move_slot(MovedError(f"{told.slot} {host}:{told.port}"))
            self._of_slot.pop(told.slot, None)
            return await self._serving(told.slot)
        node = manager.get_node(host, told.port)
        if node is None:
            await self._ask_for_the_map(failed=None)
            node = manager.get_node(host, told.port)
        if node is None:
            message = "A node of the cluster points to one that nobody knows."
            raise StoreUnavailable(message)
        return self._to(node)

    def _host_of(self, asked: Multiplexed | None) -> str:
        for name, node in self._nodes.items():
            if node is asked:
                return name.rpartition(":")[0]
        return ""

    def _to(self, node: ClusterNode) -> Multiplexed:
        name = node.name
        if name not in self._nodes:
            line = self._lines[name] = Line(lambda: _connection(node), admit=self._admit)
            self._nodes[name] = Multiplexed(
                line.dial, timeout_s=self._timeout_s, failures=self._failures, times=self._times
            )
        return self._nodes[name]

    async def _ask_for_the_map(self, *, failed: str | None) -> None:
        """Let redis-py ask the nodes who has which slot: once for all calls that want to know.

        Returns when it has asked, or after the time-out: what comes later helps the next call.
        """
        if self._admit is not None:
            self._admit()
        if self._asking is None:
            if asyncio.get_running_loop().time() - self._asked_at < _ASK_AGAIN_S:
                return
            self._asking = asyncio.create_task(self._ask(failed))
        await asyncio.wait({self._asking}, timeout=self._timeout_s)

    async def _ask(self, failed: str | None) -> None:
        manager = self._client.nodes_manager
        try:
            if not manager.slots_cache:
                await self._client.initialize()
            else:
                await manager.initialize(last_failed_node_name=failed)
            self._of_slot.clear()
            for name in self._nodes.keys() - manager.nodes_cache.keys():
                await self._nodes.pop(name).close()
                await self._lines.pop(name).hang_up()
        except (*AWAY, *CLOSED_UNDER_IT):
            self._failures[("unreachable",)] += 1
        finally:
            self._asked_at = asyncio.get_running_loop().time()
            self._asking = None

    async def close(self) -> None:
        """End all connections; calls under way fail. Safe to repeat."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self._of_slot.clear()
        for node in self._nodes.values():
            await node.close()
        for line in self._lines.values():
            await line.hang_up()


def _key(command: tuple[Value, ...]) -> str | bytes | None:
    """The key that decides the slot; None for a command that names none where we would look."""
    if command[0] in _SCRIPTS:
        key = command[_FIRST_KEY_OF_A_SCRIPT] if int(command[2]) else None
    else:
        key = command[1] if command[0] in _KEY_FIRST else None
    return str(key) if isinstance(key, int) else key


def _connection(node: ClusterNode) -> AbstractConnection:
    """One of redis-py's to this node, that its client does not count as its own.

    Its own ones it closes under whoever uses them, when another call meets a change of the cluster.
    """
    setup = {**node.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
    return node.connection_class(**setup)
