"""Secret keys: who may call the backend routes. Only hashes are kept."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from dni_allocator.domain.errors import Unauthorized
from dni_allocator.services.ids import new_secret_key
from dni_allocator.store.secrets import SecretRecord, SecretStore


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

    def may(self, scope: Scope) -> bool:
        """Whether the key opens this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def digest(secret: str) -> str:
    """What is stored of a secret key.

    Plain SHA-256: a generated key has 256 random bits, so there is nothing to guess (ASVS 11.4).
    An operator's own DNI_ADMIN_KEY must be long for the same reason: `settings` sees to it.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class Access:
    """Check and make secret keys. One round trip each."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets

    async def caller(self, secret: str | None) -> Caller:
        """Who presents this key. Raises `Unauthorized`, the same for every reason.

        The look-up is by the hash of the whole key, so its time tells nothing about a near miss.
        """
        record = None if not secret else await self._secrets.find(digest(secret))
        if record is None:
            message = "Send Authorization: Bearer with a valid secret key."
            raise Unauthorized(message)
        return Caller(
            key_id=record.key_id, scopes=frozenset(Scope(scope) for scope in record.scopes)
        )

    async def ensure_admin_key(self, configured: str | None) -> str | None:
        """See that there is an admin key; return it when it was made just now, to be shown once.

        A configured key replaces the one of an earlier start. Without one, the first process ever
        to start makes it; all others find it. Safe to race.
        """
        if configured is not None:
            await self._secrets.put_admin(_admin_record(configured), replace=True)
            return None
        made = new_secret_key()
        kept = await self._secrets.put_admin(_admin_record(made), replace=False)
        return made if kept else None

    async def replace_admin_key(self) -> str:
        """Make a new admin key in place of the present one, which stops working; return it."""
        made = new_secret_key()
        await self._secrets.put_admin(_admin_record(made), replace=True)
        return made


def _admin_record(secret: str) -> SecretRecord:
    return SecretRecord(digest=digest(secret), key_id="admin", scopes=(Scope.ADMIN,))
