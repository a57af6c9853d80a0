"""Sessions of people at the dashboard: which key a token stands for, while it is used."""

from dni_allocator.store import keys
from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute


class SessionStore:
    """Sessions by the hash of their token. One round trip a call."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def put(self, token_hash: str, *, key_digest: str, ttl_s: int) -> None:
        """Begin one."""
        await self._execute("SET", keys.session(token_hash), key_digest, "EX", ttl_s)

    async def find(self, token_hash: str, *, ttl_s: int) -> str | None:
        """The digest of the key behind a session, which is kept for `ttl_s` more from now on."""
        found = await self._execute("GETEX", keys.session(token_hash), "EX", ttl_s)
        return None if found is None else text(found)

    async def end(self, token_hash: str) -> None:
        """End one. Idempotent."""
        await self._execute("DEL", keys.session(token_hash))
