"""A herd of robots that look like people, against a pool that has to serve people."""

import asyncio
import heapq
import random
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import pytest
import redis
from redis.exceptions import NoScriptError

from dni_allocator.domain.lease import Answer, Leased
from dni_allocator.domain.pool import Pool, PoolSettings
from dni_allocator.store.scripts import NoScript
from tests.support import invariants
from tests.support.clock import START_MS
from tests.support.rig import SETTINGS, Rig

SEED: Final = 20_270_115
NUMBERS: Final = 50
ROBOTS: Final = 10_000
NETWORKS: Final = 40
"""The herd's /24s, of 250 addresses each: addresses are rented by the block."""
HALF_AN_HOUR_S: Final = 1800
PEOPLE_A_MINUTE: Final = 8.0
"""With visits of three minutes on average, 24 people are there at once (Little's law)."""
VISIT_S: Final = 180
LEAVE_SILENTLY: Final = 0.2
"""Share of people whose browser sends no farewell: tabs that crash, phones that sleep."""

GUARDED: Final = replace(
    SETTINGS,
    provisional_s=6,
    pressure_threshold=0.6,
    pressure_idle_limit_s=60,
    address_rate=2,
    address_leases=3,
)
"""A robot holds a number for six seconds. Each network of the herd gets two a minute: 80 in all,
so 8 numbers at once, where people need some 35 of the 50, those included who left in silence."""

MOST_LOST: Final = 0.02
"""By how much the share of people with a number may fall because of the herd.

Measured: from 1.000 to 0.996 with this seed (one person of 243), and over ten other seeds by 0.0115
at most, by nothing in eight of them. What is lost is lost at the beginning, when every network of
the herd has its burst of two numbers still to spend: 80 of them, more than there are. Without the
settings the share fell from 1.000 to 0.033.
"""
LOST_WITHOUT: Final = 0.9
"""By how much it falls at least without the settings."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who visits the site once."""

    name: str
    network: str
    arrives_ms: int
    leaves_ms: int
    says_goodbye: bool


@dataclass(slots=True)
class _Outcome:
    """What became of the people of one run."""

    came: int = 0
    served: int = 0

    @property
    def share(self) -> float:
        return self.served / self.came


def _people(chance: random.Random) -> list[Person]:
    found: list[Person] = []
    at = 0.0
    while (at := at + chance.expovariate(PEOPLE_A_MINUTE / 60)) < HALF_AN_HOUR_S:
        arrives = START_MS + int(at * 1000)
        found.append(
            Person(
                name=f"person-{len(found)}",
                network=f"10.{chance.randrange(256)}.{chance.randrange(256)}.0/24",
                arrives_ms=arrives,
                leaves_ms=arrives + int(chance.expovariate(1 / VISIT_S) * 1000),
                says_goodbye=chance.random() >= LEAVE_SILENTLY,
            )
        )
    return found


class _World:
    """One run: people and robots in the order of time, every call to the real store."""

    def __init__(self, client: redis.Redis, settings: PoolSettings) -> None:
        self._client = client
        self._rig = Rig(self._execute)
        self._settings = settings
        self._agenda: list[tuple[int, int, str, Person | str]] = []
        self._order = count()
        self._lost: set[str] = set()

    async def _execute(self, *command: str | bytes | int) -> object:
        try:
            # redis-py leaves this method without annotations.
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except NoScriptError as error:
            raise NoScript from error

    async def run(self, *, robots: int, seed: int = SEED) -> _Outcome:
        """The share of people who had a number of their own as long as they were there."""
        self._client.flushall()
        people = _people(random.Random(seed))  # noqa: S311 - chance with a seed, no secret
        chance = random.Random(seed + 1)  # noqa: S311 - as above
        pool = await self._rig.pool(NUMBERS, settings=self._settings)
        for person in people:
            self._at(person.arrives_ms, "arrives", person)
        for _ in range(robots):
            at = START_MS + chance.randrange(HALF_AN_HOUR_S * 1000)
            self._at(at, "robot", f"172.16.{chance.randrange(NETWORKS)}.0/24")
        names = count()
        while self._agenda:
            at, _, what, who = heapq.heappop(self._agenda)
            self._rig.clock.now_ms = at
            if isinstance(who, Person):
                await self._visit(pool, what, who)
            else:
                await self._rig.assign(pool, f"robot-{next(names)}", address=who)
        return _Outcome(came=len(people), served=len(people) - len(self._lost))

    def _at(self, at: int, what: str, who: Person | str) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), what, who))

    async def _visit(self, pool: Pool, what: str, who: Person) -> None:
        now = self._rig.clock.now_ms
        if what == "leaves":
            if who.says_goodbye:
                await self._rig.leases.close(pool, visitor_id=who.name, page_id="page")
            return
        if what == "arrives":
            (answer,) = await self._rig.assign(pool, who.name, address=who.network)
            self._at(who.leaves_ms, "leaves", who)
            next_ms = self._first_beat(pool, answer)
        else:
            alive = await self._rig.leases.heartbeat(pool, visitor_id=who.name, page_id="page")
            lives_ms = getattr(alive, "expires_in_ms", None)
            next_ms = None if lives_ms is None else pool.heartbeat_within(lives_ms) * 1000
        if next_ms is None:
            self._lost.add(who.name)
        elif now + next_ms < who.leaves_ms:
            self._at(now + next_ms, "beats", who)

    @staticmethod
    def _first_beat(pool: Pool, answer: Answer) -> int | None:
        if not isinstance(answer, Leased):
            return None
        return pool.heartbeat_within(answer.expires_in_ms) * 1000


def _share(url: str, settings: PoolSettings, *, robots: int, seed: int = SEED) -> float:
    with redis.Redis.from_url(url) as client:
        outcome = asyncio.run(_World(client, settings).run(robots=robots, seed=seed))
        invariants.check(client)
    return outcome.share


@pytest.mark.timeout(180)
def test_the_limits_keep_the_pool_for_people(redis_url: str) -> None:
    """Ten thousand addresses in half an hour, each asks once, and people hardly notice."""
    alone = _share(redis_url, GUARDED, robots=0)
    with_herd = _share(redis_url, GUARDED, robots=ROBOTS)

    assert alone - with_herd <= MOST_LOST


@pytest.mark.timeout(180)
def test_without_the_limits_the_herd_has_the_pool(redis_url: str) -> None:
    """What the settings are for: each robot holds a number for the whole idle limit."""
    alone = _share(redis_url, SETTINGS, robots=0)
    with_herd = _share(redis_url, SETTINGS, robots=ROBOTS)

    assert alone - with_herd >= LOST_WITHOUT
