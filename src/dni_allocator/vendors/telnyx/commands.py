"""Commands to Telnyx' API: one POST each, tried again where that can help."""

from typing import Final

import structlog

from dni_allocator.vendors.rest import Patience, Refused, Rest
from dni_allocator.vendors.telnyx.call_control import Command

log = structlog.get_logger(__name__)

IMPATIENCE: Final = Patience(answer_s=3.0, attempts=3, within_s=6.0, first_wait_s=0.1)
"""A caller is waiting."""


class TelnyxCommands:
    """Sends commands with an API key; close it when done."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        self._rest = Rest(
            base_url,
            vendor="Telnyx",
            headers={"Authorization": f"Bearer {api_key}"},
            patience=IMPATIENCE,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._rest.close()

    async def send(self, command: Command) -> None:
        """Send one. A refusal (the caller has hung up, say) is logged, and no error.

        Commands carry an id, by which Telnyx ignores a repetition. Raises `VendorUnavailable`.
        """
        try:
            await self._rest.repeat(command.path, json=dict(command.body))
        except Refused as refused:
            log.warning("telnyx.command_refused", action=command.action, status=refused.status)
