"""Clients that take their time to send a request, or to read the answer: they hold a connection.

uvicorn waits for ever for a head or a body that was begun (slowloris), and for somebody to read
(slow read, which holds the answer too). A timer for each request would cost every page view;
looking at all connections once a second costs nothing measurable.
"""

from collections.abc import Iterable
from typing import Final

from dni_allocator.cli.corked import CorkedHttpProtocol

LEAST_READ: Final = 16 * 1024
"""Bytes of what waits for it that a client has to read within the limit."""


class Dawdlers:
    """Remembers since when each connection owes the rest of its request, or does not read.

    Args:
        longest_s: How long a head may take, and then a body; and each `LEAST_READ` of an answer.
    """

    def __init__(self, *, longest_s: float) -> None:
        self._longest_s = longest_s
        self._since: dict[CorkedHttpProtocol, tuple[object, float]] = {}

    def cut(self, connections: Iterable[object], now: float) -> int:
        """Abort the connections that owe the same thing for too long; how many those were."""
        waiting: dict[CorkedHttpProtocol, tuple[object, float]] = {}
        late = []
        for each in connections:
            what = _debt(each) if isinstance(each, CorkedHttpProtocol) else None
            if not isinstance(each, CorkedHttpProtocol) or what is None:
                continue
            before, since = self._since.get(each, (what, now))
            waiting[each] = (what, since if before == what else now)
            if now - waiting[each][1] >= self._longest_s:
                late.append(each)
        self._since = waiting
        for each in late:
            each.transport.abort()
        return len(late)


def _debt(connection: CorkedHttpProtocol) -> tuple[object, ...] | None:
    """What it is that the client owes, equal as long as it does nothing about it; None: nothing."""
    unread = connection.transport.get_write_buffer_size()
    if unread:
        return connection.last, connection.relieved, unread // LEAST_READ
    return (connection.last, connection.reads_head) if _owes(connection) else None


def _owes(connection: CorkedHttpProtocol) -> bool:
    """Whether it is the client's turn. An idle connection between requests is uvicorn's matter."""
    last = connection.last
    if last is None or connection.transport.is_closing():
        return True  # nothing whole came yet, or the last answer is not fetched
    if last.response_complete:
        return connection.timeout_keep_alive_task is None
    return last.more_body and not last.response_started
