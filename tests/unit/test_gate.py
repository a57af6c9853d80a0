"""How much an endpoint is sent at once, and when it is left alone."""

import asyncio

from dni_allocator.webhooks.gate import Gate


class Clock:
    """Seconds, driven by the test."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.s


def gate(clock: Clock, *, concurrency: int = 8) -> Gate:
    """A gate without spread."""
    return Gate(
        clock=clock,
        random=lambda: 0.5,
        concurrency=concurrency,
        most_failures=3,
        first_pause_s=5,
        longest_pause_s=15,
    )


def admitted(made: Gate) -> int:
    """How many get in now."""
    count = 0
    while made.enter(asyncio.Event()):
        count += 1
    return count


def test_no_more_than_so_many_at_once() -> None:
    """And whoever was refused hears when there is room."""
    made, wake = gate(Clock(), concurrency=3), asyncio.Event()
    assert admitted(made) == 3
    assert not made.enter(wake)

    made.leave(taken=True)

    assert wake.is_set()
    assert admitted(made) == 1


def test_failures_in_a_row_pause_the_endpoint() -> None:
    """Then one probe at a time, after waits that double up to a limit, until one is taken."""
    clock = Clock()
    made = gate(clock)
    assert admitted(made) == 8
    for _ in range(8):
        made.leave(taken=False)

    waits = []
    for _ in range(4):
        assert admitted(made) == 0
        waits.append(made.wait_s())
        clock.s += made.wait_s()
        assert admitted(made) == 1
        made.leave(taken=False)
    clock.s += made.wait_s()
    assert admitted(made) == 1
    made.leave(taken=True)

    assert waits == [5, 10, 15, 15]
    assert admitted(made) == 8


def test_failures_between_successes_pause_nothing() -> None:
    """A poison event here and there is no dead endpoint."""
    made = gate(Clock())

    for _ in range(10):
        for taken in (False, False, True):
            assert made.enter(asyncio.Event())
            made.leave(taken=taken)

    assert not made.paused


def test_asked_for_time_is_given_even_after_a_success() -> None:
    """`Retry-After` of one answer stands, whatever the requests beside it were answered."""
    clock = Clock()
    made = gate(clock, concurrency=2)
    assert admitted(made) == 2

    made.leave(taken=False, retry_after_s=60)
    made.leave(taken=True)

    assert made.wait_s() == 60
    assert admitted(made) == 0
    clock.s += 60
    assert admitted(made) == 2


def test_a_delivery_that_was_broken_off_says_nothing() -> None:
    """It gives its place back and counts neither way."""
    made, wake = gate(Clock(), concurrency=1), asyncio.Event()
    for _ in range(5):
        assert made.enter(wake)
        made.abandon()

    assert not made.paused
    assert admitted(made) == 1


def test_what_was_not_sent_for_long_is_not_sent_all_at_once() -> None:
    """A limit is one of each second: an hour of silence earns one second's worth, no more."""
    clock = Clock()
    made = gate(clock, concurrency=100)
    made.limit(5)
    assert admitted(made) == 1

    clock.s += 3600

    assert admitted(made) == 6
