"""Work round after round: through an outage, until somebody says stop."""

import asyncio

from structlog.testing import capture_logs

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.rounds import pause, rounds


async def test_an_outage_is_waited_out_and_said_once() -> None:
    """Once for each: not a line a round, and again when it is away again."""
    stop, done = asyncio.Event(), list[str]()

    async def work() -> None:
        done.append("tried")
        if len(done) in {2, 3, 5}:
            raise StoreUnavailable("away")
        if len(done) == 6:
            stop.set()

    with capture_logs() as log:
        await rounds(work, stop, every_s=0.0, name="sweeper")

    assert len(done) == 6
    assert [(each["event"], each["of"]) for each in log] == [
        ("rounds.store_unavailable", "sweeper")
    ] * 2


async def test_a_stop_ends_the_rest_at_once() -> None:
    """Nobody waits for a round that will not come."""
    stop = asyncio.Event()
    resting = asyncio.create_task(pause(stop, 3600))
    await asyncio.sleep(0)

    stop.set()

    await asyncio.wait_for(resting, timeout=10)
