"""A lock for work that one process does at a time: held for a while, kept by asking again.

It only saves work: whoever loses it in the middle of a step is stopped by what the step compares.
"""

import secrets

from dni_allocator.store.scripts import Execute, load

_LOCK = load("outbox_lock")
_UNLOCK = load("outbox_unlock")


class Lock:
    """One lock, as one process sees it. Raises `StoreUnavailable`."""

    def __init__(self, execute: Execute, key: str, *, ttl_ms: int) -> None:
        self._execute = execute
        self._key = key
        self._ttl_ms = ttl_ms
        self._token = secrets.token_hex(8)

    async def mine(self) -> bool:
        """Take or keep it until `ttl_ms` from now; False: another process has it."""
        reply = await _LOCK.run(
            self._execute, {"lock": self._key, "token": self._token, "ttl": self._ttl_ms}
        )
        return reply[0] == b"MINE"

    async def give_back(self) -> None:
        """Let others have it at once. Idempotent."""
        await _UNLOCK.run(self._execute, {"lock": self._key, "token": self._token})
