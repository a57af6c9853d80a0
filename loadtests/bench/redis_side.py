"""The scripts inside Redis, without HTTP and Python: new lease and renewal beside plain `SET`."""

import secrets
from collections.abc import Mapping

from dni_allocator.domain.pool import Pool
from dni_allocator.store.connection import Connection
from loadtests.bench import traffic
from loadtests.bench.pipelining import Recorder, load_scripts, of_server, send, sets
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Samples, at_least
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import redis_server

KINDS = {"set": "plain `SET`", "new": "new lease", "renewal": "renewal"}
DURABILITY = {"redis": "in memory", "redis-aof": "append-only file, as in production"}
NAMES = tuple(f"{where}-{kind}" for where in DURABILITY for kind in KINDS)

_SHARES = {"new": 8, "renewal": 20}
_VISITORS = 1_000


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants; `SET` always runs, as the measure of the rest."""
    rows: list[Row] = []
    for where in DURABILITY:
        kinds = [kind for kind in KINDS if plan.wants(f"{where}-{kind}")]
        if kinds:
            samples = await _sample(where, kinds, plan)
            rows += [samples.row(f"{where}-{kind}", _title(where, kind)) for kind in kinds]
            rows += [
                _budget(samples, where, kind, share)
                for kind, share in _SHARES.items()
                if kind in kinds
            ]
    return rows


async def _sample(where: str, kinds: list[str], plan: Plan) -> Samples:
    counts = {
        "set": plan.scaled(200_000, short=20_000),
        "new": plan.scaled(40_000, short=4_000),
        "renewal": plan.scaled(80_000, short=8_000),
    }
    samples = Samples()
    with redis_server(durable=where == "redis-aof", measured=True) as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            size = (plan.rounds + 1) * counts["new"] + _VISITORS + 1
            made = await seeder.make_pool(pool("redis"), numbers(size, area=AREA_CODES[0]))
            await load_scripts(connection.execute, made)
            for number_of_round in range(plan.rounds + 1):
                for kind in KINDS:
                    if kind == "set" or kind in kinds:
                        commands = await _commands(kind, made, counts)
                        seen = await send(redis.socket_path, commands, pid=redis.pid)
                        if number_of_round:  # the first one only warms up
                            samples.add(f"{where}-{kind}", of_server(seen))
            exhausted = (await seeder.totals(made)).get("turned_away", 0)
    if exhausted:
        raise RuntimeError(f"the pool ran dry {exhausted} times")
    return samples


async def _commands(kind: str, made: Pool, counts: Mapping[str, int]) -> list[bytes]:
    count = counts[kind]
    match kind:
        case "set":
            return sets(count, run="set")
        case "new":
            run = secrets.token_hex(4)
            visitors = (traffic.visitor(at, run=run) for at in range(count))
        case _:
            visitors = (traffic.visitor(at % _VISITORS) for at in range(count))
    return await Recorder().assigns((made, visitor) for visitor in visitors)


def _budget(samples: Samples, where: str, kind: str, share: int) -> Row:
    ratio = samples.ratio(f"{where}-set", f"{where}-{kind}")
    return at_least(
        f"budget-{where}-{kind}",
        f"{_title(where, kind)}: CPU of `SET` ÷ its own",
        value=None if ratio is None else 100 * ratio,
        limit=share,
        unit="%",
    )


def _title(where: str, kind: str) -> str:
    return f"Redis, {DURABILITY[where]}: {KINDS[kind]}, pipelined"
