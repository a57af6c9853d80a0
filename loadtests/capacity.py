"""`python -m loadtests.capacity`: the paper model of docs/scale.md, from what was measured.

Reads the figures of its section "Measured", and writes its section "On paper" anew. So whoever
measures something else corrects one line, and a test holds the two together.
"""

import argparse
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
TEMPLATE = Path(__file__).with_name("capacity.txt")

_SECTION = re.compile(r"^### On paper.*?(?=^### )", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<figure>[\d,.]+) ?[^|]* \|$", re.MULTILINE)

_S = 1e-6
_GB = 1e9
_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The rows of the section "Measured", by what stands before their figure."""

    assign_us: float
    assign_redis_us: float
    heartbeat_us: float
    heartbeat_redis_us: float
    single_us: float
    cluster_us: float
    client_us: float
    forwarded_per_s: float
    number_b: float
    lease_b: float
    event_b: float

    @classmethod
    def read(cls, page: str) -> Self:
        """Find them on the page. Raises `ValueError` naming a row that is not there."""
        rows = {
            found["what"]: float(found["figure"].replace(",", "")) for found in _ROW.finditer(page)
        }
        missing = [what for what in _ROWS.values() if what not in rows]
        if missing:
            message = f"docs/scale.md has no row {missing[0]!r} with a figure"
            raise ValueError(message)
        return cls(**{name: rows[what] for name, what in _ROWS.items()})

    @property
    def spread_us(self) -> float:
        """What a call costs the service more on a cluster, by shared connections."""
        return self.cluster_us - self.single_us

    @property
    def client_spread_us(self) -> float:
        """The same through redis-py's client."""
        return self.client_us - self.single_us


_ROWS = {
    "assign_us": "`/assign`, one in five new: CPU of the service",
    "assign_redis_us": "the same: CPU of Redis",
    "heartbeat_us": "`/heartbeat`: CPU of the service",
    "heartbeat_redis_us": "the same call: CPU of Redis",
    "single_us": "a renewal, client's side alone, 256 at once: one server",
    "cluster_us": "cluster, a shared connection a node",
    "client_us": "cluster, redis-py's client",
    "forwarded_per_s": "forwarder, batched, one process, from a backlog",
    "number_b": "memory: a number",
    "lease_b": "a live lease, more",
    "event_b": "an event that waits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What nobody measured: the traffic, the plan, the prices."""

    assigns_per_s: int = 100_000
    numbers: int = 10_000_000
    new_share: float = 0.2
    held_s: int = 330
    heartbeats: int = 5
    beacons: int = 1
    busy: float = 0.6
    core_month: float = 25
    gb_month: float = 3
    number_month: float = 1.15

    @property
    def signs_per_s(self) -> int:
        """Heartbeats and beacons, which cost the same."""
        return self.assigns_per_s * (self.heartbeats + self.beacons)

    @property
    def calls_per_s(self) -> int:
        """All of the tag's."""
        return self.assigns_per_s + self.signs_per_s

    @property
    def new_per_s(self) -> float:
        """Leases; each makes an event when it begins and one when it ends."""
        return self.assigns_per_s * self.new_share


@dataclass(frozen=True, slots=True)
class Model:
    """The reckoning: cores that are busy, cores to have, bytes, money a month."""

    seen: Measured
    assumed: Assumed

    @property
    def leases(self) -> float:
        """Live at a time."""
        return self.assumed.new_per_s * self.assumed.held_s

    @property
    def redis_busy(self) -> float:
        """Cores."""
        assumed, seen = self.assumed, self.seen
        assigns = assumed.assigns_per_s * seen.assign_redis_us
        return (assigns + assumed.signs_per_s * seen.heartbeat_redis_us) * _S

    @property
    def service_busy(self) -> float:
        """Cores, if there were one server."""
        assumed, seen = self.assumed, self.seen
        return (
            assumed.assigns_per_s * seen.assign_us + assumed.signs_per_s * seen.heartbeat_us
        ) * _S

    def spread_busy(self, more_us: float) -> float:
        """Cores for what each call costs more on a cluster."""
        return self.assumed.calls_per_s * more_us * _S

    def planned(self, busy: float) -> int:
        """Cores to have, so that so many are busy."""
        return math.ceil(busy / self.assumed.busy)

    @property
    def forwarders(self) -> int:
        """Processes."""
        return math.ceil(2 * self.assumed.new_per_s / self.seen.forwarded_per_s)

    @property
    def data_b(self) -> float:
        """Of one copy."""
        return self.assumed.numbers * self.seen.number_b + self.leases * self.seen.lease_b

    @property
    def memory_b(self) -> float:
        """Two copies, and half as much again while the log is rewritten."""
        return self.data_b * 2 * 1.5

    @property
    def cores(self) -> int:
        """All of them."""
        service = self.planned(self.service_busy) + self.planned(
            self.spread_busy(self.seen.spread_us)
        )
        return 2 * self.planned(self.redis_busy) + service + self.forwarders

    @property
    def largest_pool(self) -> float:
        """Assigns a second without heartbeats that one primary can take."""
        return self.assumed.busy / (self.seen.assign_redis_us * _S)

    def section(self) -> str:
        """The section "On paper", as Markdown."""
        assumed, seen = self.assumed, self.seen
        machines = self.cores * assumed.core_month
        memory = math.ceil(self.memory_b / _GB)
        bill = assumed.numbers * assumed.number_month
        events = 2 * assumed.new_per_s
        return TEMPLATE.read_text("utf-8").format(
            assumed=assumed,
            seen=seen,
            model=self,
            millions=assumed.numbers / 1e6,
            million_leases=self.leases / 1e6,
            leased=self.leases / assumed.numbers,
            primaries=self.planned(self.redis_busy),
            service=self.planned(self.service_busy),
            spread_busy=self.spread_busy(seen.spread_us),
            spread=self.planned(self.spread_busy(seen.spread_us)),
            by_client=self.planned(self.spread_busy(seen.client_spread_us)),
            events=events,
            data_gb=self.data_b / _GB,
            waiting_mb=events * seen.event_b / _MB,
            machines=machines,
            memory=memory,
            memory_cost=memory * assumed.gb_month,
            bill=bill,
            share=(machines + memory * assumed.gb_month) / bill,
        )


def reckoned(page: str) -> str:
    """The page with its section "On paper" as its section "Measured" has it. Pure."""
    section = Model(Measured.read(page), Assumed()).section()
    found = _SECTION.search(page)
    if found is None:
        message = "docs/scale.md has no section 'On paper' before another one"
        raise ValueError(message)
    return page[: found.start()] + section + page[found.end() :]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.capacity", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not as reckoned")
    page = PAGE.read_text("utf-8")
    wanted = reckoned(page)
    if parser.parse_args().check:
        sys.exit(0 if page == wanted else "docs/scale.md: run python -m loadtests.capacity")
    PAGE.write_text(wanted, "utf-8")


if __name__ == "__main__":
    main()
