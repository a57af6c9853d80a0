"""Instants: milliseconds since 1970 inside, dates with a zone outside."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def moment(ms: int) -> datetime:
    """The date of an instant, in UTC."""
    return _EPOCH + ms * _MS


def moment_or_none(ms: int | None) -> datetime | None:
    """The date of an instant, if there is one."""
    return None if ms is None else moment(ms)


def instant(at: datetime) -> int:
    """The instant of a date that has a zone, down to its millisecond."""
    return (at - _EPOCH) // _MS


def instant_or_none(at: datetime | None) -> int | None:
    """The instant of a date, if there is one."""
    return None if at is None else instant(at)


def read_instant(text: str) -> int | None:
    """The instant that text in ISO 8601 says, UTC where it names no zone; None: it says none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant(at if at.tzinfo else at.replace(tzinfo=UTC))
