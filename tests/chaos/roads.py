"""What networks do, to the roads from a service to the store and from visitors to a service.

A run that is to draw from these needs `linking=to_proxy`: a proxy of its own before each port.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from tests.chaos.deployment import Deployment
from tests.chaos.faults import Fault, Strike
from tests.chaos.proxy import Ending, Proxy, proxied, to_port

Hurt = Callable[[Proxy, random.Random], AbstractAsyncContextManager[None]]
Roads = Callable[[Deployment], list[Proxy]]


def to_proxy(port: int) -> AbstractAsyncContextManager[Proxy]:
    """A proxy in front of a port; as `deployed` takes it."""
    return proxied(to_port(port))


@asynccontextmanager
async def _again_and_again(act: Callable[[], object], chance: random.Random) -> AsyncIterator[None]:
    """At once, and at short intervals while the fault lasts."""

    async def repeat() -> None:
        while True:
            act()
            await asyncio.sleep(chance.expovariate(10))

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def cut(road: Proxy, chance: random.Random) -> AbstractAsyncContextManager[None]:
    """Connections end, with a farewell or with a slam; new ones work."""
    return _again_and_again(lambda: road.cut(chance.choice(list(Ending))), chance)


@asynccontextmanager
async def lose_replies(road: Proxy, chance: random.Random) -> AsyncIterator[None]:
    """What was asked is done, its answer is lost, and so is the connection."""
    async with _again_and_again(lambda: road.lose_reply(after=chance.randrange(4)), chance):
        yield
    road.keep_replies()


@asynccontextmanager
async def delay(road: Proxy, chance: random.Random) -> AsyncIterator[None]:
    """Everything takes longer, and not everything equally."""
    road.delay_s = lambda: chance.uniform(0.0, 0.3)
    try:
        yield
    finally:
        road.delay_s = lambda: 0.0


@asynccontextmanager
async def trickle(road: Proxy, chance: random.Random) -> AsyncIterator[None]:
    """A few bytes at a time."""
    before, road.piece = road.piece, chance.randint(1, 40)
    try:
        yield
    finally:
        road.piece = before


@asynccontextmanager
async def hold(road: Proxy, _: random.Random) -> AsyncIterator[None]:
    """Nothing comes through, and all of it afterwards: long after whoever asked gave up."""
    road.hold()
    try:
        yield
    finally:
        road.let_go()


@asynccontextmanager
async def vanish(road: Proxy, _: random.Random) -> AsyncIterator[None]:
    """The far side is gone without a word; the connections stay half open even afterwards."""
    road.vanish()
    try:
        yield
    finally:
        road.come_back()


@asynccontextmanager
async def refuse(road: Proxy, _: random.Random) -> AsyncIterator[None]:
    """New connections are refused, and there are only new ones."""
    road.refuses = True
    road.cut()
    try:
        yield
    finally:
        road.refuses = False


def to_the_store(deployment: Deployment) -> list[Proxy]:
    """Of services and forwarders."""
    return [link for link in deployment.store_links if isinstance(link, Proxy)]


def to_services(deployment: Deployment) -> list[Proxy]:
    """Of visitors and callers."""
    links = [service.link for service in deployment.services]
    return [link for link in links if isinstance(link, Proxy)]


def _on_some(roads: Roads, hurt: Hurt) -> Strike:
    @asynccontextmanager
    async def strike(deployment: Deployment, chance: random.Random) -> AsyncIterator[None]:
        known = roads(deployment)
        assert known, "nothing stands before these ports: the run needs linking"
        async with AsyncExitStack() as stack:
            for road in chance.sample(known, chance.randint(1, len(known))):
                await stack.enter_async_context(hurt(road, chance))
            yield

    return strike


NETWORK_FAULTS = tuple(
    Fault(f"road to {name} {what}", _on_some(roads, hurt))
    for name, roads in (("the store", to_the_store), ("services", to_services))
    for what, hurt in (
        ("cut", cut), ("loses replies", lose_replies), ("slow", delay), ("trickles", trickle),
        ("held up", hold), ("half open", vanish), ("closed", refuse),
    )
)  # fmt: skip
"""Each on one road, on some or on all of them."""
