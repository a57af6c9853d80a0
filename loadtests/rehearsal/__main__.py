"""`make load`: rehearse on this machine, from nothing to a report, by one command.

Starts an embedded Valkey and one service with data of their own, makes a pool large enough for the
traffic, runs locust against it, judges, writes `rehearsal.html`. In the shape with an outage the
service is killed at its beginning and started again, as an operator would. Ends with 1 when an
objective was missed.
"""

import argparse
import asyncio
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import phonenumbers

from loadtests.bench.servers import Server, free_port, redis_server, service
from loadtests.bench.traffic import ADMIN_KEY, DESTINATION, ORIGIN
from loadtests.rehearsal.behaviour import Habits, mean_visit_s
from loadtests.rehearsal.shapes import SHAPES, Shape

ROOT = Path(__file__).parents[2]
IDLE_LIMIT_S = 30
CLOSED_BROWSER_DELAY_S = 5
STREAMS = 4
_ROWS = 1_000
_BEGIN_IN_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to rehearse. `rate`: visitors a second at the base of the shape; `length` in seconds."""

    shape_name: str
    rate: float
    length: float
    habits: Habits
    report: Path
    numbers: int | None
    more: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return SHAPES[self.shape_name]

    def pool_size(self) -> int:
        """Numbers that turn away hardly anybody at the highest rate, as long as that lasts.

        Offered load is arrivals times hold (Little's law), and a hold is a visit and a lock; of
        those who vanish the idle limit, of the others the closed-browser delay. Three standard
        deviations of a Poisson above it. Robots are to be turned away, so they do not count.
        """
        if self.numbers is not None:
            return self.numbers
        lock = self.habits.vanish * IDLE_LIMIT_S
        lock += (1 - self.habits.vanish) * CLOSED_BROWSER_DELAY_S
        hold = mean_visit_s(self.habits) + lock
        steps = 200
        # What has arrived within one hold, at the fullest moment of the run.
        held = max(
            sum(
                self.shape.at(max(0.0, (at - back) / self.length)).people
                for back in (hold * part / steps for part in range(steps))
            )
            / steps
            for at in (self.length * part / steps for part in range(steps))
        )
        offered = self.rate * held * hold
        return math.ceil(offered + 3 * math.sqrt(offered) + 10)


def main() -> int:
    """Run from the command line."""
    plan = _plan()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        valkey = stack.enter_context(redis_server())
        port = free_port()
        running = stack.enter_context(service(valkey.url, port=port, alone=False))
        pool = asyncio.run(_make_pool(port, plan.pool_size()))
        begins = time.time() + _BEGIN_IN_S
        if plan.shape.outage is not None:
            outage = threading.Thread(
                target=_outage,
                args=(stack, running, valkey.url, begins, plan),
                daemon=True,
            )
            outage.start()
        return _locust(plan, f"http://127.0.0.1:{port}", pool, begins)


def _outage(stack: ExitStack, running: Server, url: str, begins: float, plan: Plan) -> None:
    """Kill the service when the shape says so, and start it again in time."""
    assert plan.shape.outage is not None  # noqa: S101 -- asked before
    starts, ends = (begins + share * plan.length for share in plan.shape.outage)
    time.sleep(max(0.0, starts - time.time()))
    os.kill(running.pid, signal.SIGKILL)
    # In time to be there when everybody comes back: the crowd is what is rehearsed, not the start.
    time.sleep(max(0.0, (3 * starts + ends) / 4 - time.time()))
    stack.enter_context(service(url, port=running.port, alone=False))


@dataclass(frozen=True, slots=True)
class _Pool:
    id: str
    key: str


async def _make_pool(port: int, size: int) -> _Pool:
    """A pool of fictional numbers, made as an operator makes it."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=60,
    ) as client:
        made = await client.post(
            "/pools",
            json={
                "name": "Rehearsal",
                "destinations": [DESTINATION],
                "allowed_origins": [ORIGIN],
                "idle_limit_s": IDLE_LIMIT_S,
                "closed_browser_delay_s": CLOSED_BROWSER_DELAY_S,
                # What keeps hidden robots from emptying it; people hardly notice.
                "address_rate": 4,
                "address_leases": 3,
                "provisional_s": 6,
            },
        )
        made.raise_for_status()
        pool = _Pool(made.json()["id"], made.json()["key"])
        numbers = fictional_numbers()
        for start in range(0, size, _ROWS):
            rows = [next(numbers) for _ in range(min(_ROWS, size - start))]
            attached = await client.post(f"/pools/{pool.id}/numbers", json={"numbers": rows})
            attached.raise_for_status()
            assert not attached.json()["rejected"], attached.text  # noqa: S101 -- a bug of ours
    return pool


def fictional_numbers() -> Iterator[str]:
    """555-0100 to 555-0199 of every area code: set aside for fiction. Some 30,000."""
    for area in range(201, 990):
        if phonenumbers.is_valid_number(phonenumbers.parse(f"+1{area}5550100")):
            for line in range(100):
                yield f"+1{area}55501{line:02d}"


def _locust(plan: Plan, host: str, pool: _Pool, begins: float) -> int:
    with tempfile.TemporaryDirectory(prefix="dni-load-") as room:
        command = [
            sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py"),
            "--headless", "--only-summary", "--users", str(STREAMS), "--spawn-rate", str(STREAMS),
            "--host", host, "--html", str(Path(room) / "locust.html"), "--loglevel", "WARNING",
            "--shape", plan.shape_name, "--length", str(plan.length),
            "--visitors-per-s", str(plan.rate / STREAMS), "--begin-at", f"{begins:.3f}",
            "--view-s", str(plan.habits.view_s), "--site-url", ORIGIN, "--excuse-outage",
            "--report", str(plan.report), *plan.more,
        ]  # fmt: skip
        # By the environment, so that the secret stands in no list of processes.
        environment = {
            **os.environ,
            "DNI_LOAD_SITE_KEY": pool.key,
            "DNI_LOAD_POOL_ID": pool.id,
            "DNI_LOAD_SECRET_KEY": ADMIN_KEY,
            "PYTHONPATH": str(ROOT),
        }
        print(f"{plan.pool_size():,} numbers; report: {plan.report}", flush=True)  # noqa: T201 -- the answer of the command
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 -- this interpreter


def _plan() -> Plan:
    shapes = "; ".join(f"{name}: {shape.summary}" for name, shape in SHAPES.items())
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.rehearsal",
        description=__doc__,
        epilog="Further options go to locust, e.g. --slo-p99-ms 100.",
    )
    parser.add_argument("--shape", choices=sorted(SHAPES), default="flat", help=shapes)
    parser.add_argument("--rate", type=float, default=50.0, help="visitors a second, at the base")
    parser.add_argument("--length", type=float, default=60.0, help="seconds")
    parser.add_argument("--view-s", type=float, default=8.0, help="a page is read so long")
    parser.add_argument("--numbers", type=int, help="in the pool; default: enough for the shape")
    parser.add_argument("--report", type=Path, default=Path("rehearsal.html"), help="HTML file")
    options, more = parser.parse_known_args()
    return Plan(
        shape_name=options.shape,
        rate=options.rate,
        length=options.length,
        habits=Habits(view_s=options.view_s),
        numbers=options.numbers,
        report=options.report,
        more=tuple(more),
    )


if __name__ == "__main__":
    sys.exit(main())
