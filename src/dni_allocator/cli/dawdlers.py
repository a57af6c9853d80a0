"""Clients that take their time to send a request: whoever they are, they hold a connection.

uvicorn waits for ever for a head or a body that was begun (slowloris). A timer for each request
would cost every page view; looking at all connections once a second costs nothing measurable.
"""

from collections.abc import Iterable

from dni_allocator.cli.corked import CorkedHttpProtocol


class Dawdlers:
    """Remembers since when each connection owes the rest of its request.

    Args:
        longest_s: How long a head may take, and then a body.
    """

    def __init__(self, *, longest_s: float) -> None:
        self._longest_s = longest_s
        self._since: dict[CorkedHttpProtocol, tuple[object, float]] = {}

    def cut(self, connections: Iterable[object], now: float) -> int:
        """Abort the connections that owe the same thing for too long; how many those were."""
        waiting: dict[CorkedHttpProtocol, tuple[object, float]] = {}
        late = []
        for each in connections:
            if not isinstance(each, CorkedHttpProtocol) or not _owes(each):
                continue
            what = (each.last, each.reads_head)
            before, since = self._since.get(each, (what, now))
            waiting[each] = (what, since if before == what else now)
            if now - waiting[each][1] >= self._longest_s:
                late.append(each)
        self._since = waiting
        for each in late:
            each.transport.abort()
        return len(late)


def _owes(connection: CorkedHttpProtocol) -> bool:
    """Whether it is the client's turn. An idle connection between requests is uvicorn's matter."""
    last = connection.last
    if last is None or connection.transport.is_closing():
        return True  # nothing whole came yet, or the last answer is not fetched
    if last.response_complete:
        return connection.timeout_keep_alive_task is None
    return last.more_body and not last.response_started
