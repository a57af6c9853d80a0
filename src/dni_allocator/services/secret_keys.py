"""Make, edit, rotate and revoke secret keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dni_allocator.domain.errors import (
    KeyProtected,
    SecretKeyUnknown,
)
from dni_allocator.services.access import ADMIN, Scope, digest, instant_ms, prefix_of
from dni_allocator.services.ids import new_secret_key, new_secret_key_id
from dni_allocator.services.pools import known_pools
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.secrets import SecretRecord, SecretStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    """A key as people see it. `old`: prefixes of replaced secrets, and until when they open it."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    pools: tuple[str, ...] | None
    created_ms: int
    old: tuple[tuple[str, int], ...] = ()


class SecretKeys:
    """Secret keys as an operator handles them. Raises `StoreUnavailable` throughout.

    A change holds at once in every process: none of them remembers keys.
    """

    def __init__(
        self, *, secrets: SecretStore, pools: PoolStore, clock: Callable[[], str] = str
    ) -> None:
        self._secrets = secrets
        self._pools = pools
        self._clock = clock

    async def create(
        self, *, name: str, scopes: Sequence[Scope], pools: Sequence[str] | None
    ) -> tuple[SecretKey, str]:
        """Make a key; the secret is told this once. Raises `InvalidRequest` for unknown pools."""
        secret = new_secret_key()
        record = SecretRecord(
            digest=digest(secret),
            key_id=new_secret_key_id(),
            scopes=tuple(dict.fromkeys(scopes)),
            name=name,
            prefix=prefix_of(secret),
            pools=await self._checked(pools),
            created_ms=instant_ms(self._clock),
        )
        await self._secrets.put(record.key_id, seen=(), wanted=(record,))
        return _key([record]), secret

    async def all(self) -> list[SecretKey]:
        """All keys, oldest first."""
        grouped: dict[str, list[SecretRecord]] = {}
        for record in self._living(await self._secrets.all()):
            grouped.setdefault(record.key_id, []).append(record)
        return [_key(records) for records in grouped.values()]

    async def read(self, key_id: str) -> SecretKey:
        """One key. Raises `SecretKeyUnknown`."""
        return _key(self._living(await self._records(key_id)))

    async def edit(
        self,
        key_id: str,
        *,
        name: str | None = None,
        scopes: Sequence[Scope] | None = None,
        pools: Sequence[str] | None = None,
        all_pools: bool = False,
    ) -> SecretKey:
        """Change what is given; `all_pools` lifts the limit. Secrets stay.

        Raises `SecretKeyUnknown`, `KeyProtected`, `EditConflict`, `InvalidRequest`.
        """
        seen = await self._changeable(key_id)
        limit = seen[0].pools if pools is None else await self._checked(pools)
        wanted = [
            replace(
                record,
                name=record.name if name is None else name,
                scopes=record.scopes if scopes is None else tuple(dict.fromkeys(scopes)),
                pools=None if all_pools else limit,
            )
            for record in self._living(seen)
        ]
        await self._secrets.put(key_id, seen=seen, wanted=wanted)
        return _key(wanted)

    async def rotate(self, key_id: str, *, overlap_s: int) -> tuple[SecretKey, str]:
        """Give the key a new secret, told this once; the one before opens it for `overlap_s` more.

        Secrets that were replaced earlier end now. Raises as `edit`.
        """
        seen = await self._changeable(key_id)
        now_ms = instant_ms(self._clock)
        secret = new_secret_key()
        fresh = replace(
            seen[0], digest=digest(secret), prefix=prefix_of(secret), created_ms=now_ms,
            until_ms=None,
        )  # fmt: skip
        wanted = [fresh]
        if overlap_s > 0:
            wanted.append(replace(seen[0], until_ms=now_ms + overlap_s * 1000))
        await self._secrets.put(key_id, seen=seen, wanted=wanted)
        return _key(wanted), secret

    async def revoke(self, key_id: str) -> None:
        """End a key with all its secrets, now. Raises `SecretKeyUnknown`, `KeyProtected`."""
        await self._secrets.put(key_id, seen=await self._changeable(key_id), wanted=())

    async def _records(self, key_id: str) -> list[SecretRecord]:
        records = [each for each in await self._secrets.all() if each.key_id == key_id]
        if not records:
            message = "There is no secret key with this id."
            raise SecretKeyUnknown(message)
        return records

    async def _changeable(self, key_id: str) -> list[SecretRecord]:
        if key_id == ADMIN:
            message = "Replace it by DNI_ADMIN_KEY, or by `dni-allocator keys replace-admin`."
            raise KeyProtected(message)
        return await self._records(key_id)

    def _living(self, records: Sequence[SecretRecord]) -> list[SecretRecord]:
        now_ms = instant_ms(self._clock)
        return [each for each in records if each.until_ms is None or each.until_ms > now_ms]

    async def _checked(self, pools: Sequence[str] | None) -> tuple[str, ...] | None:
        return None if pools is None else await known_pools(pools, pools=self._pools)


def _key(records: Sequence[SecretRecord]) -> SecretKey:
    newest = records[0]
    return SecretKey(
        id=newest.key_id,
        name=newest.name,
        prefix=newest.prefix,
        scopes=tuple(Scope(scope) for scope in newest.scopes),
        pools=newest.pools,
        created_ms=min(each.created_ms for each in records),
        old=tuple((each.prefix, each.until_ms) for each in records if each.until_ms is not None),
    )
