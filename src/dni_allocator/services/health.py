"""Is this process able to serve? Asked by orchestrators, several times a minute."""

import asyncio

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.scripts import Execute

PING_WITHIN_S = 0.5
"""A store slower than this for a PING cannot serve pages either."""


class Health:
    """Readiness of one process."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self.draining = False
        """Set when the process was told to stop: it still serves, but wants no new work."""

    async def check(self) -> None:
        """Return when ready. Raises `StoreUnavailable`, also while draining."""
        if self.draining:
            message = "This process is shutting down."
            raise StoreUnavailable(message)
        try:
            await asyncio.wait_for(self._execute("PING"), timeout=PING_WITHIN_S)
        except TimeoutError as error:
            message = f"The store did not answer a PING within {PING_WITHIN_S} s."
            raise StoreUnavailable(message) from error
