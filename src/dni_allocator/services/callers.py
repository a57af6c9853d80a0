"""Callers, remembered by a keyed hash of their number: the number itself is not kept for that.

A plain hash of a phone number is undone by trying all of them; without the key of the deployment
this one is not.
"""

import asyncio
import hashlib
import hmac
import secrets

from dni_allocator.store.calls import Caller, CallStore


class Callers:
    """What a pool remembers of a caller. `key` None: the one that the store keeps, made once."""

    def __init__(self, store: CallStore, *, key: str | None = None) -> None:
        self._store = store
        self._key = None if key is None else key.encode()
        self._finding = asyncio.Lock()

    async def known(self, pool_id: str, number: str | None, *, at_ms: int) -> Caller | None:
        """What is known of a caller (E.164); None: withheld, or nobody is remembered at all."""
        if number is None or not self._store.memory_ms:
            return None
        digest = hmac.new(await self._secret(), number.encode(), hashlib.sha256).hexdigest()[:32]
        return await self._store.caller(pool_id, digest, at_ms=at_ms)

    async def _secret(self) -> bytes:
        if self._key is None:
            async with self._finding:
                self._key = (await self._store.shared_key(secrets.token_urlsafe(32))).encode()
        return self._key
