"""`python -m loadtests.bench`: measure, print one table, write it as JSON too.

Ends with 0 whatever the figures say, since a busy machine is no failure, and with 1 when something
could not be measured or answered an error.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from loadtests.bench import (
    backlog,
    clustered,
    forwarding,
    http_rows,
    instructions,
    instructions_http,
    load,
    memory,
    postgresql,
    redis_side,
    scaling,
    scaling_http,
)
from loadtests.bench.plan import Plan
from loadtests.bench.report import markdown, write_json
from loadtests.bench.results import Row
from loadtests.bench.servers import pin

Part = Callable[[Plan], Awaitable[list[Row]]]

PARTS: tuple[tuple[tuple[str, ...], Part], ...] = (
    (http_rows.NAMES, http_rows.measure),
    (redis_side.NAMES, redis_side.measure),
    (instructions.NAMES, instructions.measure),
    (clustered.NAMES, clustered.measure),
    (instructions_http.NAMES, instructions_http.measure),
    (scaling.NAMES, scaling.measure),
    (scaling_http.NAMES, scaling_http.measure),
    (memory.NAMES, memory.measure),
    (forwarding.NAMES, forwarding.measure),
    (backlog.NAMES, backlog.measure),
    (postgresql.NAMES, postgresql.measure),
)


def main() -> None:
    """Run from the command line."""
    options = _options()
    plan = _plan(options)
    # Told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    pin(0, measured=False)
    rows = asyncio.run(_measure(plan))
    sys.stdout.write(markdown(rows, plan))
    if options.json is not None:
        write_json(options.json, rows, plan)
    failed = [row.name for row in rows if row.errors]
    if failed:
        sys.exit(f"errors were answered in: {', '.join(failed)}")


async def _measure(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for names, measure in PARTS:
        if plan.wants(*names):
            rows += await measure(plan)
    return rows


def _plan(options: argparse.Namespace) -> Plan:
    only = frozenset(filter(None, options.only.split(",")))
    unknown = only - {name for names, _ in PARTS for name in names}
    if unknown:
        sys.exit(f"no such rows: {', '.join(sorted(unknown))}")
    return Plan(
        seconds=options.seconds or (1.0 if options.short else 3.0),
        rounds=options.rounds or (1 if options.short else 5),
        short=options.short,
        wrk=load.wrk_is_here() and options.client != "own",
        only=only,
    )


def _options() -> argparse.Namespace:
    names = ", ".join(name for names, _ in PARTS for name in names)
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under a minute, rough figures")
    parser.add_argument("--only", default="", metavar="ROWS", help=f"comma separated: {names}")
    parser.add_argument("--seconds", type=float, help="length of one window (3; short: 1)")
    parser.add_argument("--rounds", type=int, help="windows of each subject (5; short: 1)")
    parser.add_argument("--client", choices=("wrk", "own"), help="default: wrk where it is")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to write it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
