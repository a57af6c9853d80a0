"""What growth costs inside Redis: numbers in a pool, pools. Each row is a ratio.

The same work, first leases and then renewals of all of them, once in many small parts and once in
a large one.
"""

import secrets

from dni_allocator.domain.pool import Pool
from dni_allocator.store.connection import Connection
from dni_allocator.store.embedded import EmbeddedServer
from loadtests.bench import traffic
from loadtests.bench.pipelining import Recorder, load_scripts, of_server, send
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Samples, at_most
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import redis_server

NAMES = ("scaling-numbers", "scaling-pools")
LIMIT = 1.3
"""How much dearer a call may become."""

_SMALL_POOL = 100


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    rows: list[Row] = []
    if plan.wants("scaling-numbers"):
        rows += await _numbers(plan)
    if plan.wants("scaling-pools"):
        rows += await _pools(plan)
    return rows


async def _numbers(plan: Plan) -> list[Row]:
    """First leases and renewals: in pools of 100 filled one after the other, and in one pool."""
    large = plan.scaled(1_000_000, short=20_000)
    work = plan.scaled(20_000, short=2_000)
    rounds = min(plan.rounds, 3)
    count = (rounds + 1) * work
    with redis_server(durable=False, measured=True) as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            one = await seeder.make_pool(pool("large"), numbers(large, area=AREA_CODES[0]))
            small = [
                await seeder.make_pool(
                    pool(f"small{at}"),
                    numbers(_SMALL_POOL, area=AREA_CODES[1], start=at * _SMALL_POOL),
                )
                for at in range(count // _SMALL_POOL)
            ]
            await load_scripts(connection.execute, one)
            plans = {
                "few": [small[at // _SMALL_POOL] for at in range(count)],
                "many": [one] * count,
            }
            samples = await _lease_and_renew(redis, plans, work=work)
    what = f"numbers in a pool, {_SMALL_POOL} → {large:,}"
    return _ratios("scaling-numbers", what, samples)


async def _pools(plan: Plan) -> list[Row]:
    """First leases and renewals: in one pool, and in turns over many."""
    pools = plan.scaled(10_000, short=500)
    work = plan.scaled(20_000, short=2_000)
    rounds = min(plan.rounds, 3)
    count = (rounds + 1) * work
    each = count // pools + 1
    with redis_server(durable=False, measured=True) as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            one = await seeder.make_pool(pool("one"), numbers(count + 1, area=AREA_CODES[0]))
            many = [
                await seeder.make_pool(
                    pool(f"many{at}"), numbers(each, area=AREA_CODES[1], start=at * each)
                )
                for at in range(pools)
            ]
            await load_scripts(connection.execute, one)
            plans = {
                "few": [one] * count,
                "many": [many[at % pools] for at in range(count)],
            }
            samples = await _lease_and_renew(redis, plans, work=work)
    return _ratios("scaling-pools", f"pools, 1 → {pools:,}", samples)


async def _lease_and_renew(
    redis: EmbeddedServer, plans: dict[str, list[Pool]], *, work: int
) -> Samples:
    samples = Samples()
    runs = {name: secrets.token_hex(4) for name in plans}
    count = len(next(iter(plans.values())))
    for step in ("new", "renewal"):
        for start in range(0, count, work):
            for name, pools in plans.items():
                asked = (
                    (pools[at], traffic.visitor(at, run=runs[name]))
                    for at in range(start, start + work)
                )
                commands = await Recorder().assigns(asked)
                seen = await send(redis.socket_path, commands, pid=redis.pid)
                if seen.errors:
                    raise RuntimeError(f"{seen.errors} calls of {name}, {step} were refused")
                if start:  # the first one only warms up
                    samples.add(f"{name}-{step}", of_server(seen))
    return samples


def _ratios(name: str, what: str, samples: Samples) -> list[Row]:
    return [
        at_most(
            f"{name}-{step}",
            f"{title} in Redis, {what}",
            value=samples.ratio(f"many-{step}", f"few-{step}"),
            limit=LIMIT,
        )
        for step, title in (("new", "new lease"), ("renewal", "renewal"))
    ]
