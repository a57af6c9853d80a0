"""What may go wrong: each fault strikes when it is entered and is healed when it is left.

How long it lasts is the run's affair. A fault ends with everything running again, if not yet ready.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from tests.chaos.deployment import Deployment, Program
from tests.support.cluster import Node
from tests.support.faketime import JumpingClock

Strike = Callable[[Deployment, random.Random], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault, and what it excuses."""

    name: str
    strike: Strike
    forgets_s: float = 0.0
    """What was answered so long before it may be forgotten: nothing, unless it is documented."""
    moves_clock: bool = False
    """Redis' clock jumps: a lease may be shorter or longer than was promised."""

    @property
    def victim(self) -> str:
        """What it strikes: the first word of its name. One thing is struck once at a time."""
        return self.name.partition(" ")[0]


@asynccontextmanager
async def _killed(victim: Program | Node) -> AsyncIterator[None]:
    victim.kill()
    try:
        yield
    finally:
        await asyncio.to_thread(victim.start)


@asynccontextmanager
async def _frozen(victim: Program | Node) -> AsyncIterator[None]:
    victim.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        victim.signal(signal.SIGCONT)


def kill_service(
    deployment: Deployment, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    """SIGKILL to one service."""
    return _killed(chance.choice(deployment.services))


def freeze_service(
    deployment: Deployment, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    """SIGSTOP to one service: what it was sent is served when it wakes up, or to nobody."""
    return _frozen(chance.choice(deployment.services))


def kill_forwarder(
    deployment: Deployment, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    """SIGKILL to one forwarder."""
    return _killed(chance.choice(deployment.forwarders))


def freeze_forwarder(
    deployment: Deployment, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    """SIGSTOP to one forwarder, which believes afterwards that it still has its locks."""
    return _frozen(chance.choice(deployment.forwarders))


def kill_store(deployment: Deployment, _: random.Random) -> AbstractAsyncContextManager[None]:
    """SIGKILL to Valkey, which comes back with its log of writes."""
    return _killed(deployment.valkey)


def freeze_store(deployment: Deployment, _: random.Random) -> AbstractAsyncContextManager[None]:
    """SIGSTOP to Valkey: time goes on meanwhile, and what was sent runs when it wakes up."""
    return _frozen(deployment.valkey)


@asynccontextmanager
async def refuse_events(deployment: Deployment, _: random.Random) -> AsyncIterator[None]:
    """The receiver answers 503 to every delivery."""
    before = deployment.receiver.answer
    deployment.receiver.answer = lambda _: HTTPStatus.SERVICE_UNAVAILABLE
    try:
        yield
    finally:
        deployment.receiver.answer = before


PROCESS_FAULTS = (
    Fault("service killed", kill_service),
    Fault("service frozen", freeze_service),
    Fault("forwarder killed", kill_forwarder),
    Fault("forwarder frozen", freeze_forwarder),
    Fault("store killed", kill_store),
    Fault("store frozen", freeze_store),
)
"""Every process that there is, ended and held up."""

RECEIVER_FAULTS = (Fault("receiver refuses", refuse_events),)
"""What is delivered is held up: the run ends later by as long."""


@asynccontextmanager
async def fill_store(deployment: Deployment, _: random.Random) -> AsyncIterator[None]:
    """Valkey has no memory left for anything new."""
    ask = deployment.valkey.ask
    await asyncio.to_thread(ask, "CONFIG", "SET", "maxmemory", 1)
    try:
        yield
    finally:
        await asyncio.to_thread(ask, "CONFIG", "SET", "maxmemory", 0)


STORE_FAULTS = (Fault("store full", fill_store),)
"""The store is there, and takes nothing."""


@asynccontextmanager
async def _jumped(clocks: list[JumpingClock], seconds: float) -> AsyncIterator[None]:
    for clock in clocks:
        clock.jump(seconds)
    try:
        yield
    finally:
        for clock in clocks:
            clock.jump(-seconds)


def jump_services(
    deployment: Deployment, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    """The clocks of some services and forwarders are wrong by up to a day."""
    clocks = chance.sample(deployment.clocks, chance.randint(1, len(deployment.clocks)))
    return _jumped(clocks, chance.choice((-1, 1)) * chance.choice((2, 60, 3_600, 86_400)))


def jump_store(deployment: Deployment, chance: random.Random) -> AbstractAsyncContextManager[None]:
    """The clock that decides jumps, and jumps back: leases are shorter, or longer."""
    assert deployment.store_clock is not None, "the run needs clocks"
    return _jumped([deployment.store_clock], chance.choice((-1, 1)) * chance.uniform(1, 15))


CLOCK_FAULTS = (Fault("clocks of services jump", jump_services),)
"""Nothing is excused: no process' own clock decides about a lease."""

STORE_CLOCK_FAULTS = (Fault("store clock jumps", jump_store, moves_clock=True),)
"""For a run of their own: where this clock jumps, the instants in events prove less."""
