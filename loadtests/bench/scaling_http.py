"""What growth costs in the service: pools it must know, processes that share one Redis."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from dni_allocator.store.connection import Connection
from loadtests.bench import load, traffic
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Sample, Samples, at_most
from loadtests.bench.scaling import LIMIT
from loadtests.bench.seeding import AREA_CODES, Seeder, numbers, pool
from loadtests.bench.servers import Server, cpu_seconds, redis_server, service, unpin
from loadtests.bench.traffic import KNOWN_VISITORS, Traffic

NAMES = ("scaling-known-pools", "scaling-processes")

_NUMBERS_EACH = 2


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    rows: list[Row] = []
    if plan.wants("scaling-known-pools"):
        rows += await _known_pools(plan)
    if plan.wants("scaling-processes"):
        rows += await _processes(plan)
    return rows


async def _known_pools(plan: Plan) -> list[Row]:
    """Renewals in one pool, and over thousands, whose keys the process has to find."""
    pools = plan.scaled(10_000, short=500)
    samples = Samples()
    with redis_server() as redis:
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            await seeder.prepare()
            await seeder.make_pool(pool("known"), numbers(KNOWN_VISITORS, area=AREA_CODES[0]))
            for at in range(pools):
                await seeder.make_pool(
                    pool(traffic.spread_name(at)),
                    numbers(_NUMBERS_EACH, area=AREA_CODES[1], start=at * _NUMBERS_EACH),
                )
        requests = {"one": traffic.assign("known"), "many": traffic.assign_spread(pools)}
        with service(redis.url) as server:
            for number_of_round in range(plan.rounds + 1):
                for name, request in requests.items():
                    seen = _window([server], request, plan)
                    if number_of_round:  # the first one leases, and reads the pools
                        samples.add(name, seen)
    what = f"server CPU, `/assign`, renewal, pools 1 → {pools:,}"
    cost = samples.ratio("many", "one")
    errors = samples.row("many", "").errors
    return [replace(at_most("scaling-known-pools", what, value=cost, limit=LIMIT), errors=errors)]


async def _processes(plan: Plan) -> list[Row]:
    """One server process and two, both free to use every core."""
    samples = Samples()
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        unpin(redis.pid)
        async with Connection(redis.url) as connection:
            seeder = Seeder(connection)
            await seeder.prepare()
            await seeder.make_pool(pool("known"), numbers(KNOWN_VISITORS, area=AREA_CODES[0]))
        both = [stack.enter_context(service(redis.url, alone=False)) for _ in range(2)]
        for number_of_round in range(plan.rounds + 1):
            for name, servers in (("one", both[:1]), ("two", both)):
                seen = _window(servers, traffic.assign("known"), plan)
                if number_of_round:
                    samples.add(name, seen)
    rows = [
        samples.row("one", "`/assign`, renewal, 1 process", note="not pinned"),
        samples.row("two", "`/assign`, renewal, 2 processes", note="not pinned"),
    ]
    cost = samples.ratio("two", "one")
    return [*rows, at_most("scaling-processes", "server CPU a request, 1 → 2 processes",
                           value=cost, limit=LIMIT)]  # fmt: skip


def _window(servers: Sequence[Server], request: Traffic, plan: Plan) -> Sample:
    before = sum(cpu_seconds(server.pid) for server in servers)
    running = [
        load.at_capacity(
            server.port,
            request,
            seconds=plan.seconds,
            connections=load.CONNECTIONS // len(servers),
            wrk=plan.wrk,
        )
        for server in servers
    ]
    seen = [each.result() for each in running]
    return Sample(
        done=sum(each.done for each in seen),
        seconds=max(each.seconds for each in seen),
        cpu_s=sum(cpu_seconds(server.pid) for server in servers) - before,
        errors=sum(each.errors for each in seen),
    )
