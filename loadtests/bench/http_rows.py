"""Requests over HTTP: the peers and our calls, in turns, each window beside its rivals' windows."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from dni_allocator.store.connection import Connection
from loadtests.bench import load, traffic
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Sample, Samples, at_least, at_most
from loadtests.bench.seeding import AREA_CODES, Seeder, list_in_directory, numbers, pool
from loadtests.bench.servers import Server, cpu_seconds, peer, redis_server, service
from loadtests.bench.traffic import KNOWN_VISITORS, Traffic

PEERS = {
    "raw-asgi": "raw ASGI echo (uvicorn)",
    "starlette": "Starlette route, echo",
    "fastapi": "FastAPI, typed empty endpoint",
}
OURS = {
    "assign-renewal": "`/assign`, renewal",
    "assign-new": "`/assign`, new lease",
    "assign-mixed": "`/assign`, one in five new",
    "heartbeat": "`/heartbeat`",
    "attribution": "`/attribution`",
}
RATED = "assign-p99"
NAMES = (*PEERS, *OURS, RATED)

KEA_LEASES_PER_S = 14_000
ZAR_LEASES_PER_S = 400
"""Recorded when the budgets were set, on a machine like the one the budgets speak of."""

_RATED_SHARE = 0.7
_NEW_PER_S = 30_000
"""More than one process of Python can lease: the pool must not run dry."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The running parts: a server for each subject, Redis behind ours."""

    subjects: Mapping[str, tuple[Server, Callable[[], Traffic]]]
    redis_pid: int
    plan: Plan

    def window(self, subject: str, *, seconds: float | None = None, rate: float = 0.0) -> Sample:
        """Load one subject for a while."""
        server, request = self.subjects[subject]
        length = self.plan.seconds if seconds is None else seconds
        before = cpu_seconds(server.pid), cpu_seconds(self.redis_pid)
        running = (
            load.at_rate(server.port, request(), seconds=length, rate=rate)
            if rate
            else load.at_capacity(server.port, request(), seconds=length, wrk=self.plan.wrk)
        )
        seen = running.result()
        after = cpu_seconds(server.pid), cpu_seconds(self.redis_pid)
        return replace(seen, cpu_s=after[0] - before[0], store_cpu_s=after[1] - before[1])


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants, budgets at the end."""
    wanted = plan.wanted(NAMES)
    if not wanted:
        return []
    subjects = list(dict.fromkeys("assign-renewal" if name == RATED else name for name in wanted))
    with ExitStack() as stack:
        bench = await _start(stack, plan, subjects)
        for subject in subjects:
            bench.window(subject, seconds=1)
        samples = Samples()
        for _ in range(plan.rounds):
            for subject in subjects:
                samples.add(subject, bench.window(subject))
        rows = [_row(samples, subject) for subject in subjects if subject in wanted]
        if RATED in wanted:
            rows += _rated(bench, samples)
    return [*rows, *_budgets(samples, wanted)]


async def _start(stack: ExitStack, plan: Plan, subjects: list[str]) -> Bench:
    redis = stack.enter_context(redis_server())
    served: dict[str, Server] = {
        name: stack.enter_context(peer(name)) for name in PEERS if name in subjects
    }
    requests = dict.fromkeys(PEERS, lambda: traffic.assign("known"))
    if set(subjects) & set(OURS):
        await _seed(redis.url, plan, subjects)
        ours = stack.enter_context(service(redis.url))
        served |= dict.fromkeys(OURS, ours)
        requests |= {
            "assign-renewal": lambda: traffic.assign("known"),
            "assign-new": lambda: traffic.assign("fresh", new_every=1, run=secrets.token_hex(4)),
            "assign-mixed": lambda: traffic.assign("mixed", new_every=5, run=secrets.token_hex(4)),
            "heartbeat": lambda: traffic.heartbeat("known"),
            "attribution": lambda: traffic.attribution(f"+1{AREA_CODES[0]}"),
        }
        bench = Bench({"lease": (ours, requests["assign-renewal"])}, redis.pid, plan)
        bench.window("lease", seconds=1)
    every = {name: (served[name], requests[name]) for name in subjects}
    return Bench(every, redis.pid, plan)


async def _seed(redis_url: str, plan: Plan, subjects: list[str]) -> None:
    windows = 2 + plan.rounds * plan.seconds
    async with Connection(redis_url) as connection:
        seeder = Seeder(connection)
        await seeder.prepare()
        known = list(numbers(KNOWN_VISITORS, area=AREA_CODES[0]))
        made = await seeder.make_pool(pool("known"), known)
        list_in_directory(redis_url, made, known)
        for name, subject, share in (("fresh", "assign-new", 1.0), ("mixed", "assign-mixed", 0.3)):
            if subject in subjects:
                size = KNOWN_VISITORS + int(share * windows * _NEW_PER_S)
                area = AREA_CODES[1 if name == "fresh" else 2]
                await seeder.make_pool(pool(name), numbers(size, area=area))


def _row(samples: Samples, subject: str) -> Row:
    return samples.row(subject, {**PEERS, **OURS}[subject])


def _rated(bench: Bench, samples: Samples) -> list[Row]:
    """Latency below capacity: what a page sees when the service is not overrun."""
    capacity = samples.row("assign-renewal", "").per_second or 0.0
    rate = _RATED_SHARE * capacity
    rated = Samples()
    for _ in range(max(2, bench.plan.rounds // 2)):
        rated.add(RATED, bench.window("assign-renewal", rate=rate))
    row = rated.row(RATED, f"`/assign` at {_RATED_SHARE:.0%} of capacity, open loop")
    verdict = at_most(
        "budget-p99", "p99 of `/assign` at 70 % of capacity", value=row.p99_ms, limit=10, unit="ms"
    )
    return [row, verdict]


def _budgets(samples: Samples, wanted: list[str]) -> list[Row]:
    found: list[Row] = []
    for subject in ("assign-renewal", "assign-new", "assign-mixed"):
        if subject not in wanted:
            continue
        what = OURS[subject]
        for peer_name, limit in (("raw-asgi", 1.4), ("fastapi", 0.5)):
            ratio = samples.ratio(subject, peer_name)
            found.append(
                at_most(
                    f"budget-{subject}-{peer_name}",
                    f"server CPU, {what} ÷ {PEERS[peer_name]}",
                    value=ratio,
                    limit=limit,
                )
            )
    if "assign-new" in wanted:
        rate = samples.row("assign-new", "").per_second
        for name, limit, what in (
            ("kea", KEA_LEASES_PER_S, "Kea DHCPv4 (recorded)"),
            ("zar", 30 * ZAR_LEASES_PER_S, "30 × zar (recorded)"),
        ):
            found.append(
                at_least(
                    f"budget-{name}", f"new leases a second, one process, against {what}",
                    value=rate, limit=limit, unit="/s",
                )
            )  # fmt: skip
    return found
