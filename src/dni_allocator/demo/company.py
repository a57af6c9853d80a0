"""Whom the demonstration is about: a fictional company, its numbers and the rules of its pool.

All numbers are fictional: 555-0100 to 555-0199 are set aside for that in every area code of North
America. The lock rules are shorter than the service's defaults, so that a person can watch them.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """What the demo pool is made of. Numbers as E.164, durations in seconds."""

    name: str = "Saguaro Air (demo)"
    campaign: str = "Summer 2026"
    destination: str = "+16025550142"
    numbers: tuple[str, ...] = (
        "+16025550101",
        "+16025550113",
        "+16025550127",
        "+16025550164",
        "+14805550118",
        "+14805550175",
        "+16235550132",
        "+16235550189",
    )
    overflow_number: str = "+18005550199"
    idle_limit_s: int = 60
    closed_browser_delay_s: int = 10
    hold_after_call_s: int = 30


SAGUARO: Final = Company()
"""Cooling and heating for homes in and around Phoenix, Arizona; no such firm is meant."""
