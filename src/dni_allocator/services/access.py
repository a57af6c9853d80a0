"""Secret keys: who may call the backend routes. Only hashes are kept."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dni_allocator.domain.errors import Forbidden, Unauthorized
from dni_allocator.services.ids import new_secret_key
from dni_allocator.store.secrets import SecretRecord, SecretStore

ADMIN = "admin"
"""Id of the one key that is made at the first start, or set by DNI_ADMIN_KEY."""


class Scope(StrEnum):
    """What a secret key opens. `admin` opens everything."""

    ADMIN = "admin"
    READ = "read"
    ATTRIBUTION = "attribution"
    CALLS = "calls"
    ASSIGN = "assign"
    """Assign on visitors' behalf: for backends that render pages."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the id of the key, never the key."""

    key_id: str
    scopes: frozenset[Scope]
    pools: frozenset[str] | None = None
    """The only pools it opens; None: all, and what belongs to no pool."""

    def may(self, scope: Scope) -> bool:
        """Whether the key opens this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def reaches(self, pool_id: str) -> bool:
        """Whether the key opens this pool."""
        return self.pools is None or pool_id in self.pools

    def must_reach(self, *pool_ids: str) -> None:
        """Raise `Forbidden` unless the key opens all of these pools."""
        if not all(map(self.reaches, pool_ids)):
            message = "The key is limited to other pools."
            raise Forbidden(message)


def digest(secret: str) -> str:
    """What is stored of a secret key.

    Plain SHA-256: a generated key has 256 random bits, so there is nothing to guess (ASVS 11.4).
    An operator's own DNI_ADMIN_KEY must be long for the same reason: `settings` sees to it.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class Access:
    """Check and make secret keys. One round trip each."""

    def __init__(self, secrets: SecretStore, *, clock: Callable[[], str] = str) -> None:
        self._secrets = secrets
        self._clock = clock

    async def caller(self, secret: str | None) -> Caller:
        """Who presents this key. Raises `Unauthorized`, the same for every reason.

        Asked of the store each time, so a revoked key opens nothing from then on, anywhere. The
        look-up is by the hash of the whole key: how long it takes tells nothing about a near miss,
        as two keys that differ in one letter have nothing in common there.
        """
        return await self.caller_by(digest(secret) if secret else "")

    async def caller_by(self, key_digest: str) -> Caller:
        """As `caller`, by the digest of the key; "": none was shown."""
        record = await self._secrets.find(key_digest) if key_digest else None
        if record is None or (
            record.until_ms is not None and record.until_ms <= instant_ms(self._clock)
        ):
            message = "Send Authorization: Bearer with a valid secret key."
            raise Unauthorized(message)
        return Caller(
            key_id=record.key_id,
            scopes=frozenset(Scope(scope) for scope in record.scopes),
            pools=None if record.pools is None else frozenset(record.pools),
        )

    async def ensure_admin_key(self, configured: str | None) -> str | None:
        """See that there is an admin key; return it when it was made just now, to be shown once.

        A configured key replaces the one of an earlier start. Without one, the first process ever
        to start makes it; all others find it. Safe to race.
        """
        if configured is not None:
            await self._secrets.put_admin(_admin_record(configured, made=False), replace=True)
            return None
        made = new_secret_key()
        kept = await self._secrets.put_admin(_admin_record(made), replace=False)
        return made if kept else None

    async def replace_admin_key(self) -> str:
        """Make a new admin key in place of the present one, which stops working; return it."""
        made = new_secret_key()
        await self._secrets.put_admin(_admin_record(made), replace=True)
        return made


def prefix_of(secret: str) -> str:
    """What of a made key is kept readable, so that people tell keys apart: 48 of its 256 bits."""
    return secret[:11]


def instant_ms(clock: Callable[[], str]) -> int:
    """Now in ms, of this process' clock unless a test drives it: keys run out by the hour."""
    return int(clock() or time.time() * 1000)


def _admin_record(secret: str, *, made: bool = True) -> SecretRecord:
    # Nothing of a key that an operator thought up is kept readable: it may be short.
    return SecretRecord(
        digest=digest(secret),
        key_id=ADMIN,
        scopes=(Scope.ADMIN,),
        name="Admin key" if made else "DNI_ADMIN_KEY",
        prefix=prefix_of(secret) if made else "",
    )
