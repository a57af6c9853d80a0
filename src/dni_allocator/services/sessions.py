"""Sessions: a person who showed a secret key once, and works on with a token in a cookie."""

import hashlib
import secrets
from typing import Final

from dni_allocator.domain.errors import Unauthorized
from dni_allocator.services.access import Access, Caller, digest
from dni_allocator.store.sessions import SessionStore

IDLE_S: Final = 8 * 3600
"""A session that is not used for a working day is over."""


class Sessions:
    """Begin, find and end sessions. Raises `StoreUnavailable` throughout.

    A session stands for its key: revoked, rotated or limited, the key is looked up each time, so a
    session never opens more than the key does at that moment.
    """

    def __init__(self, *, access: Access, store: SessionStore) -> None:
        self._access = access
        self._store = store

    async def begin(self, secret: str) -> str:
        """Take a secret key, give a token of 256 random bits. Raises `Unauthorized`."""
        await self._access.caller(secret)
        token = secrets.token_urlsafe(32)
        await self._store.put(_hash(token), key_digest=digest(secret), ttl_s=IDLE_S)
        return token

    async def caller(self, token: str | None) -> Caller:
        """Who works with this token. Raises `Unauthorized` when it is over or never was."""
        found = await self._store.find(_hash(token), ttl_s=IDLE_S) if token else None
        if found is None:
            message = "Sign in with a secret key."
            raise Unauthorized(message)
        return await self._access.caller_by(found)

    async def end(self, token: str) -> None:
        """End a session, now. Idempotent."""
        await self._store.end(_hash(token))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
