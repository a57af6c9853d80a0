"""What an error reply of the server means for us."""

import re
from typing import Final

from dni_allocator.domain.errors import DniError, ScriptContractError, StoreUnavailable
from dni_allocator.store.scripts import NoScript

_PASSING = (
    "LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN",
    "BUSY", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip
"""Errors that pass by themselves or by an operator's hand: not our bug, hence 503."""


_WITHIN_A_SCRIPT: Final = re.compile(r"(?:ERR )?Error running script .*?: -(?P<told>[A-Z]+ .*)")
"""How Redis 6.2 wraps an error that a command met inside of a script; later ones do not."""


class Refused(StoreUnavailable):
    """The server refuses for now and did nothing; `word` says why (`READONLY`, `LOADING`, …)."""

    def __init__(self, word: str) -> None:
        super().__init__(f"The store refuses the command: {word}.")
        self.word = word


class Redirected(Exception):
    """A node of a cluster does not have the slot, and says who has: nothing was done.

    `only_now` is ASK: this command is to be sent there after ASKING, later ones here again.
    `host` is "" where the node does not tell: it is the one that was asked.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        word, slot, address = message.split(" ", 2)
        host, _, port = address.rpartition(":")
        self.only_now = word == "ASK"
        self.slot = int(slot)
        self.host = host
        self.port = int(port)


def refusal(message: str) -> DniError | NoScript | Redirected:
    """The exception to raise for an error reply, by its first word.

    `NoScript`: send the source. `Redirected`: ask another node. `Refused`: try again later.
    Anything else is a bug of ours: `ScriptContractError`.
    """
    within = _WITHIN_A_SCRIPT.match(message)
    word = (message if within is None else within["told"]).partition(" ")[0]
    if word == "NOSCRIPT":
        return NoScript()
    if word in {"MOVED", "ASK"}:
        return Redirected(message)
    if word.startswith(_PASSING):
        return Refused(word)
    return ScriptContractError(f"The store does not understand us: {message}")
