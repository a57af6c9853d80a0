"""What an error reply of the server means for us."""

from dni_allocator.domain.errors import DniError, ScriptContractError, StoreUnavailable
from dni_allocator.store.scripts import NoScript

_PASSING = (
    "LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN",
    "BUSY", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip
"""Errors that pass by themselves or by an operator's hand: not our bug, hence 503."""


def refusal(message: str) -> DniError | NoScript:
    """The exception to raise for an error reply, by its first word.

    `NoScript`: send the source. `StoreUnavailable`: try again later. Anything else is a bug of
    ours: `ScriptContractError`.
    """
    word = message.partition(" ")[0]
    if word == "NOSCRIPT":
        return NoScript()
    if word.startswith(_PASSING):
        return StoreUnavailable(f"The store refuses the command: {word}.")
    return ScriptContractError(f"The store does not understand us: {message}")
