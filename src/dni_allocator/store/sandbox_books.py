"""What the shop of fictional numbers sold; `domain.shop.SandboxBooks`."""

from collections.abc import Mapping

from dni_allocator.store.keys import SANDBOX
from dni_allocator.store.replies import mapping, text
from dni_allocator.store.scripts import Execute


class SandboxLedger:
    """One hash for all processes. One or two round trips a call. Raises `StoreUnavailable`."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def sold(self) -> Mapping[str, str]:
        """Number to reference."""
        return mapping(await self._execute("HGETALL", SANDBOX))

    async def sell(self, number: str, *, reference: str) -> bool:
        """Note a sale; False when somebody else has the number. Idempotent."""
        await self._execute("HSETNX", SANDBOX, number, reference)
        return text(await self._execute("HGET", SANDBOX, number)) == reference

    async def take_back(self, number: str) -> None:
        """Strike a sale out. Idempotent."""
        await self._execute("HDEL", SANDBOX, number)
