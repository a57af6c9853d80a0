"""Secret keys in Redis: records by the hash of the key; the key itself is never stored."""

from dataclasses import dataclass

import orjson

from dni_allocator.store import keys
from dni_allocator.store.replies import text
from dni_allocator.store.scripts import Execute, load

_PUT_ADMIN = load("admin_key_put")


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """What is known of a secret key."""

    digest: str
    key_id: str
    scopes: tuple[str, ...]


class SecretStore:
    """Records of secret keys."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def find(self, digest: str) -> SecretRecord | None:
        """The record of a key, by the SHA-256 of it in hex."""
        value = await self._execute("HGET", keys.ADMIN_KEYS, digest)
        if value is None:
            return None
        record = orjson.loads(text(value))
        return SecretRecord(digest=digest, key_id=record["key_id"], scopes=tuple(record["scopes"]))

    async def put_admin(self, record: SecretRecord, *, replace: bool) -> bool:
        """Set the one admin key; False when there was one and it was to be left. Idempotent."""
        reply = await _PUT_ADMIN.run(
            self._execute,
            {
                "keys": keys.ADMIN_KEYS,
                "digest": record.digest,
                "record": orjson.dumps({"key_id": record.key_id, "scopes": record.scopes}),
                "replace": int(replace),
            },
        )
        return reply[0] == b"SET"
