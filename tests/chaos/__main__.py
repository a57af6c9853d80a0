"""`python -m tests.chaos`: play a long run by a seed, or judge the record of one again."""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.checker import violations
from tests.chaos.faults import (
    CLOCK_FAULTS,
    PROCESS_FAULTS,
    RECEIVER_FAULTS,
    STORE_CLOCK_FAULTS,
    STORE_FAULTS,
)
from tests.chaos.history import History
from tests.chaos.report import explained, report
from tests.chaos.roads import NETWORK_FAULTS, to_proxy
from tests.chaos.run import Plan, play
from tests.support.faketime import ensure_faketime

FAMILIES = {
    "processes": PROCESS_FAULTS,
    "full": STORE_FAULTS,
    "receiver": RECEIVER_FAULTS,
    "clocks": CLOCK_FAULTS,
    "network": NETWORK_FAULTS,
    "store": (*STORE_FAULTS, *(each for each in PROCESS_FAULTS if each.victim == "store")),
    "store-clock": STORE_CLOCK_FAULTS,
}
USUAL = "processes,full,receiver,clocks,network"


def main() -> int:
    """Exit code 1: something was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    minutes = float(os.environ.get("CHAOS_MINUTES") or 3)
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--visitors", type=int, default=24)
    parser.add_argument(
        "--faults", default=USUAL, help=f"families of {', '.join(FAMILIES)}; default: %(default)s"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always")
    parser.add_argument("--room", type=Path, help="where the record and the logs go")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="judge this record, play nothing"
    )
    options = parser.parse_args()
    if options.check is not None:
        return judge(History.read(options.check))
    room = options.room or Path(tempfile.mkdtemp(prefix="chaos-"))
    room.mkdir(parents=True, exist_ok=options.room is None)
    say(f"seed {options.seed}, {options.minutes} minutes; the record is {room}/history.jsonl")
    faults = tuple(each for name in options.faults.split(",") for each in FAMILIES[name])
    ensure_faketime()
    plan = Plan(
        seed=options.seed, seconds=options.minutes * 60, visitors=options.visitors,
        faults=faults, together=0.25, linking=to_proxy, clocks=True,
        fsync=options.fsync,
    )  # fmt: skip
    return judge(asyncio.run(play(plan, room)))


def judge(history: History) -> int:
    """Say what came of it."""
    found = violations(history)
    say(json.dumps(report(history, found), indent=1))
    if found:
        say(explained(found))
    return 1 if found else 0


def say(text: str) -> None:
    """To whoever started it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
