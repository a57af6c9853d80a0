"""A ringing number as a vendor tells of it, and what the vendor is told to do. Knows no vendor."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dni_allocator.domain.call import CallStatus
from dni_allocator.domain.routing import AS_EVER, CallerId, Plan, Routing

E164: Final = re.compile(r"\+[1-9][0-9]{4,14}")


class Leg(StrEnum):
    """Which part of a call a report is about."""

    CALLER = "caller"
    """From the caller to the number: it may be over without anybody having answered."""
    DIALED = "dialed"
    """What came of ringing a destination."""
    RECORDING = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A call that comes in. Numbers are E.164; no caller: they withhold their number."""

    vendor: str
    call_id: str
    """The vendor's, the same in everything the vendor tells of this call."""
    number: str
    caller: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a call. None: nothing is said about that.

    `number` is empty where the vendor does not repeat it; `at_ms` is the vendor's clock.
    """

    vendor: str
    call_id: str
    leg: Leg
    number: str = ""
    caller: str | None = None
    status: CallStatus | None = None
    duration_s: int | None = None
    at_ms: int | None = None
    recording_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a vendor is to do with a call, by which settings. `whisper` is ready to be said."""

    plan: Plan
    routing: Routing = AS_EVER
    whisper: str = ""

    def caller_id(self, ring: Ring) -> str | None:
        """The number a destination sees; None where the caller's is to be shown and withheld."""
        match self.routing.caller_id:
            case CallerId.CALLER:
                return ring.caller
            case CallerId.TRACKING:
                return ring.number
            case fixed:
                return fixed


def e164_of(text: str) -> str | None:
    """A number as vendors write it, or None for a SIP address, a name, a withheld number."""
    return text if E164.fullmatch(text) else None
