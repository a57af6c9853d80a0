"""Secret keys in Redis: records by the hash of the key; the key itself is never stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from dni_allocator.domain.errors import EditConflict
from dni_allocator.store import keys
from dni_allocator.store.replies import mapping, text
from dni_allocator.store.scripts import Execute, load

_PUT_ADMIN = load("admin_key_put")
_PUT = load("secret_key_put")
_DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """What is known of one secret. While a key is rotated, two secrets open it.

    `pools`: the only pools it opens; None: all. `until_ms`: when it stops; None: never.
    """

    digest: str
    key_id: str
    scopes: tuple[str, ...]
    name: str = ""
    prefix: str = ""
    pools: tuple[str, ...] | None = None
    created_ms: int = 0
    until_ms: int | None = None
    stored: str = field(default="", compare=False)
    """As it was read, to be told from what somebody else wrote since."""

    def to_json(self) -> bytes:
        """The record as it is stored; equal for equal records."""
        return orjson.dumps(
            {
                "key_id": self.key_id,
                "scopes": self.scopes,
                "name": self.name,
                "prefix": self.prefix,
                "pools": self.pools,
                "created_ms": self.created_ms,
                "until_ms": self.until_ms,
            }
        )


class SecretStore:
    """Records of secret keys. One round trip a call."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def find(self, digest: str) -> SecretRecord | None:
        """The record of a key, by the SHA-256 of it in hex."""
        value = await self._execute("HGET", keys.ADMIN_KEYS, digest)
        return None if value is None else _read(digest, text(value))

    async def all(self) -> list[SecretRecord]:
        """Every secret, those of one key together, its newest first; oldest key first."""
        fields = mapping(await self._execute("HGETALL", keys.ADMIN_KEYS))
        records = [
            _read(digest, record)
            for digest, record in fields.items()
            if len(digest) == _DIGEST_LENGTH
        ]

        def place(record: SecretRecord) -> tuple[bool, int]:
            digests = fields.get(record.key_id, "").split()
            return record.digest not in digests, (
                digests.index(record.digest) if record.digest in digests else 0
            )

        first: dict[str, int] = {}
        for record in records:
            first[record.key_id] = min(
                record.created_ms, first.get(record.key_id, record.created_ms)
            )
        return sorted(records, key=lambda each: (first[each.key_id], each.key_id, place(each)))

    async def put(
        self, key_id: str, *, seen: Sequence[SecretRecord], wanted: Sequence[SecretRecord]
    ) -> None:
        """Let exactly these secrets open the key, newest first; none: it is revoked. Idempotent.

        Raises `EditConflict` when somebody else changed the key since it was `seen`.
        """
        rows: list[str | bytes] = []
        for record in wanted:
            rows += [record.digest, record.to_json()]
        reply = await _PUT.run(
            self._execute,
            {
                "keys": keys.ADMIN_KEYS,
                "key_id": key_id,
                "seen": " ".join(record.digest for record in seen),
                "seen_record": seen[0].stored if seen else "",
            },
            rows,
        )
        if reply[0] == b"CONFLICT":
            message = "The key was changed meanwhile; read it again."
            raise EditConflict(message)

    async def put_admin(self, record: SecretRecord, *, replace: bool) -> bool:
        """Set the one admin key; False when there was one and it was to be left. Idempotent."""
        reply = await _PUT_ADMIN.run(
            self._execute,
            {
                "keys": keys.ADMIN_KEYS,
                "digest": record.digest,
                "record": record.to_json(),
                "replace": int(replace),
            },
        )
        return reply[0] == b"SET"


def _read(digest: str, record: str) -> SecretRecord:
    told = orjson.loads(record)
    pools = told.get("pools")
    return SecretRecord(
        digest=digest,
        key_id=told["key_id"],
        scopes=tuple(told["scopes"]),
        name=told.get("name", ""),
        prefix=told.get("prefix", ""),
        pools=None if pools is None else tuple(pools),
        created_ms=told.get("created_ms", 0),
        until_ms=told.get("until_ms"),
        stored=record,
    )
