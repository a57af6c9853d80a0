"""The version of the layout: compared at every start, and brought up by numbered steps.

A step takes the data from one version to the next, and may be run again from its middle: whoever
runs it may be killed. Only one process runs steps at a time; others wait and try again. How a step
has to be, so that processes of the version before can go on beside it: docs/operations.md.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping

import structlog

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.store import keys
from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute, load

log = structlog.get_logger(__name__)

_LOCK = load("outbox_lock")
_UNLOCK = load("outbox_unlock")

SCHEMA_VERSION = "1"
"""Version of the key layout this code writes."""

Step = Callable[[Execute], Awaitable[None]]

STEPS: Mapping[int, Step] = {}
"""By the version that they lead to. None yet: there is only the first."""

_HELD_MS = 10 * 60_000
"""A step that takes longer is run by a second process too, which it must bear."""


async def check_layout(
    execute: Execute,
    *,
    shards: int,
    steps: Mapping[int, Step] = STEPS,
    version: str = SCHEMA_VERSION,
) -> None:
    """Write schema version and shard count at the first start, compare them at every other.

    Older data are brought up, one step after the other. Raises `ConfigurationError` for data of a
    newer version, of no version there is a way from, or of another number of shards: every pool
    would be looked for in the wrong place. Raises `StoreUnavailable` while another process brings
    them up. Safe to race: the first writer wins, all others compare.
    """
    found = await _settled(execute, "shards", str(shards))
    if found != str(shards):
        message = f"The data were written with shards={found}, DNI_SHARDS says {shards}."
        raise ConfigurationError(message)
    found = await _settled(execute, "schema", version)
    if found == version:
        return
    if not found.isdecimal() or int(found) > int(version):
        message = f"The data have schema={found}, this version of dni-allocator has {version}."
        raise ConfigurationError(message)
    await _bring_up(execute, steps, version=version)


async def _bring_up(execute: Execute, steps: Mapping[int, Step], *, version: str) -> None:
    token = secrets.token_hex(8)
    lock = {"lock": keys.MIGRATING, "token": token}
    reply = await _LOCK.run(execute, {**lock, "ttl": _HELD_MS})
    if reply[0] != b"MINE":
        message = "The data are being brought up to this version by another process."
        raise StoreUnavailable(message)
    try:
        # Read again: somebody may have done it while we waited.
        present = int(await _settled(execute, "schema", version))
        for target in range(present + 1, int(version) + 1):
            step = steps.get(target)
            if step is None:
                message = f"There is no way from schema={target - 1} to {target}."
                raise ConfigurationError(message)
            log.info("schema.step", to=target)
            await step(execute)
            await execute("HSET", keys.META, "schema", str(target))
    finally:
        await _UNLOCK.run(execute, lock)


async def _settled(execute: Execute, name: str, value: str) -> str:
    await execute("HSETNX", keys.META, name, value)
    return text(await execute("HGET", keys.META, name))
