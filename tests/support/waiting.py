"""Waiting for other processes and browsers: by asking again, never by sleeping a guessed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_S = 0.01


def wait_until(
    condition: Callable[[], T | None], *, timeout_s: float = 20.0, what: str = "the condition"
) -> T:
    """Ask until the answer is truthy and return it.

    The time limit only ends a test that has already failed; it is no expectation.

    Raises:
        TimeoutError: The answer stayed falsy.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: still {answer!r} after {timeout_s} s")
        time.sleep(POLL_S)


@overload
async def wait_until_async(
    condition: Callable[[], Awaitable[T | None]], *, timeout_s: float = ..., what: str = ...
) -> T: ...


@overload
async def wait_until_async(
    condition: Callable[[], T | None], *, timeout_s: float = ..., what: str = ...
) -> T: ...


async def wait_until_async(
    condition: Callable[[], T | Awaitable[T | None] | None],
    *,
    timeout_s: float = 20.0,
    what: str = "the condition",
) -> T | Awaitable[T | None]:
    """As `wait_until`, on a running loop; the condition may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: still {answer!r} after {timeout_s} s")
        await asyncio.sleep(POLL_S)
