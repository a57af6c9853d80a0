"""Group commit: many requests wait for one transaction.

One thread owns the writing connection. While it commits, further events queue up and share the
next commit, so the rate does not hang on how fast the disk syncs.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dni_allocator.sink.erasing import erase
from dni_allocator.sink.projections import project
from dni_allocator.sink.tables import Received, write

_MOST_AT_ONCE: Final = 500

_Waiting = tuple[Sequence[Received], asyncio.Future[None], asyncio.AbstractEventLoop]


class Writer:
    """Writes events in groups; `start` before use, `stop` at the end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sink-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, end the thread. Blocks until that is done."""
        self._waiting.put(None)
        self._thread.join()

    async def store(self, events: Sequence[Received]) -> None:
        """Return when the events are committed.

        Raises:
            SQLAlchemyError: The database refused; nothing of the group was stored.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.put((events, done, loop))
        await done

    def _work(self) -> None:
        going = True
        while going:
            group: list[_Waiting] = []
            one = self._waiting.get()
            while one is not None:
                group.append(one)
                if len(group) >= _MOST_AT_ONCE:
                    break
                try:
                    one = self._waiting.get_nowait()
                except queue.Empty:
                    break
            going = one is not None
            if group:
                self._commit(group)

    def _commit(self, group: Sequence[_Waiting]) -> None:
        failure: SQLAlchemyError | None = None
        try:
            with self._engine.begin() as connection:
                received = [event for events, _, _ in group for event in events]
                write(connection, received)
                project(connection, received)
                erase(connection, received)
        except SQLAlchemyError as error:
            failure = error
        # One call into the loop for the whole group.
        loop = group[0][2]
        with contextlib.suppress(RuntimeError):  # the loop may be closed when we are killed
            loop.call_soon_threadsafe(_answer, [done for _, done, _ in group], failure)


def _answer(waiting: Sequence[asyncio.Future[None]], failure: SQLAlchemyError | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
