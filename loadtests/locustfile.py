"""Visitors as they behave, for locust: against any deployment, headless, distributed or by hand.

    locust -f loadtests/locustfile.py --host https://dni.example --site-key pk_… --shape tv-spot

A user of locust is a stream of visitors, not one visitor: `--users 4 --visitors-per-s 50` lets 200
visitors arrive each second, times what the shape says. All options: `--help`; most have an
environment variable, so that no secret stands on a command line. What is measured, and the verdict
at the end: `loadtests/README.md`.
"""

import math
import os
import random
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import gevent
import orjson
import requests
from gevent.event import Event
from gevent.pool import Group
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.rehearsal import report
from loadtests.rehearsal.behaviour import Habits, Visit, plan, raid
from loadtests.rehearsal.holdings import Holdings
from loadtests.rehearsal.ledger import PEOPLE, ROBOTS, Ledger
from loadtests.rehearsal.shapes import SHAPES, Shape, arrivals
from loadtests.rehearsal.slo import Objectives, judge
from loadtests.rehearsal.visitor import Answer, Site, Visitor, World

_FINE: Final = frozenset({200, 204, 429})
"""429 is an answer too: it carries what the page is to show."""

_REMEMBERED: Final = 500
"""Visitors of a stream who may come back."""

_ROBOT_NETWORKS: Final = 40


class Run:
    """What one load process knows of the run under way."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.holdings = Holdings()
        self.began_at = 0.0

    def begin(self, at: float) -> None:
        """Start the clock; a run that is started again by the web page begins anew."""
        self.began_at = at
        self.ledger.clear()
        self.holdings.clear()

    def now(self) -> float:
        """Seconds since the beginning; negative before it."""
        return time.time() - self.began_at


RUN: Final = Run()


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Add what a rehearsal can be told."""

    def add(name: str, **more: Any) -> None:  # noqa: ANN401 -- as argparse takes them
        variable = "DNI_LOAD_" + name.removeprefix("--").replace("-", "_").upper()
        parser.add_argument(name, env_var=variable, **more)

    add("--site-key", default="", help="Publishable key of the pool (pk_…).")
    add("--site-url", default="https://shop.example", help="Its pages; their origin is sent.")
    add("--destinations", default="", help="Numbers on the pages, comma separated; none: default.")
    add("--secret-key", default="", is_secret=True, help="Asks /attribution for shown numbers.")
    add("--pool-id", default="", help="With a secret key: reads how full the pool is.")
    add("--shape", default="flat", choices=sorted(SHAPES), help="How arrivals go over time.")
    add("--visitors-per-s", type=float, default=5.0, help="Base rate of each locust user.")
    add("--length", type=float, default=60.0, help="Of the run, seconds.")
    add("--begin-at", type=float, default=0.0, help="When it begins, Unix time; default: at once.")
    add("--view-s", type=float, default=20.0, help="How long a page is read on average.")
    add("--vanish", type=float, default=0.1, help="Share of visits that end without farewell.")
    add("--comes-back", type=float, default=0.15, help="Share of visits of known visitors.")
    add("--calls", type=float, default=0.05, help="Share of visits in which the number is dialed.")
    add("--seed", type=int, default=1, help="Of what visitors do; times still vary.")
    add("--slo-p99-ms", type=float, default=50.0, help="Bound of /assign.")
    add("--slo-failed", type=float, default=0.001, help="Bound of the share of failed requests.")
    add("--slo-turned-away", type=float, default=0.01, help="Bound of the share of people.")
    add("--excuse-outage", action="store_true", help="Do not count the shape's outage.")
    add("--report", default="", help="Where to write the HTML report.")


class Stream(FastHttpUser):
    """Visitors who arrive at a rate, each a greenlet of its own."""

    concurrency = 256
    connection_timeout = 10.0
    network_timeout = 10.0

    def on_start(self) -> None:
        """Make the world of this stream."""
        options = self._options()
        # Streams differ, and repeat when the run is repeated.
        self._random = random.Random(f"{options.seed}-{id(self)}")
        self._alive = Group()
        self._known: deque[Visitor] = deque(maxlen=_REMEMBERED)
        self._habits = Habits(
            view_s=options.view_s,
            vanish=options.vanish,
            comes_back=options.comes_back,
            calls=options.calls,
        )
        self._origin = "/".join(options.site_url.split("/")[:3])
        self._world = World(
            site=Site(
                key=options.site_key,
                url=options.site_url.rstrip("/"),
                destinations=tuple(filter(None, options.destinations.split(","))),
            ),
            send=self._send,
            ask=self._ask,
            ledger=RUN.ledger,
            holdings=RUN.holdings,
            sleep=gevent.sleep,
            now=RUN.now,
        )

    def on_stop(self) -> None:
        """Whoever is still there vanishes."""
        self._alive.kill(block=False)

    @task
    def arrive(self) -> None:
        """Let visitors arrive until the run is over."""
        options, shape = self._options(), SHAPES[self._options().shape]
        base, length = options.visitors_per_s, options.length
        streams = [
            gevent.spawn(
                self._arriving, self._person, base * shape.highest.people,
                lambda at: base * shape.at(at / length).people,
            ),
            gevent.spawn(
                self._arriving, self._robot, base * shape.highest.robots,
                lambda at: base * shape.at(at / length).robots,
            ),
        ]  # fmt: skip
        try:
            gevent.joinall(streams)
            # Until locust ends it: a task that comes back is begun again.
            Event().wait()
        finally:
            gevent.killall(streams, block=False)

    def _arriving(
        self, come: Callable[[], None], highest: float, rate: Callable[[float], float]
    ) -> None:
        length = self._options().length
        for at in arrivals(self._random, rate=rate, highest=highest, until=length):
            # Behind the clock nobody waits: arrivals come when they are due, answered or not.
            gevent.sleep(max(0.0, at - RUN.now()))
            come()

    def _person(self) -> None:
        second = int(RUN.now())
        RUN.ledger.arrive(PEOPLE, second=second)
        if self._known and self._random.random() < self._habits.comes_back:
            visitor = self._known.popleft()
        else:
            visitor = self._visitor(PEOPLE, f"{self._random.getrandbits(32):08x}")
        self._alive.spawn(self._live, visitor, plan(self._random, self._habits))

    def _robot(self) -> None:
        RUN.ledger.arrive(ROBOTS, second=int(RUN.now()))
        network = f"{self._random.randrange(_ROBOT_NETWORKS):08x}"
        self._alive.spawn(self._visitor(ROBOTS, network).attend, raid(self._random))

    def _live(self, visitor: Visitor, visit: Visit) -> None:
        visitor.attend(visit)
        self._known.append(visitor)

    def _visitor(self, who: str, network: str) -> Visitor:
        # 2001:db8::/32 is set aside for documents (RFC 3849); a network of IPv6 is a /64.
        address = f"2001:db8:{network[:4]}:{network[4:]}::{self._random.getrandbits(16):x}"
        return Visitor(self._world, f"load-{self._random.getrandbits(96):024x}", who, address)

    def _send(self, call: str, body: Mapping[str, object], browser: str, address: str) -> Answer:
        headers = {
            "Content-Type": "text/plain;charset=UTF-8",
            "Origin": self._origin,
            "User-Agent": browser,
            "X-Forwarded-For": address,
        }
        return self._request("POST", call, f"/{call}", orjson.dumps(body).decode(), headers)

    def _ask(self, number: str) -> Answer | None:
        secret = self._options().secret_key
        if not secret:
            return None
        headers = {"Authorization": f"Bearer {secret}"}
        return self._request("GET", "attribution", f"/attribution/{number}", "", headers)

    def _request(
        self, method: str, call: str, path: str, data: str, headers: dict[str, str]
    ) -> Answer:
        sent = RUN.now()
        with self.client.request(
            method, path, data=data, headers=headers, name=f"/{call}", catch_response=True
        ) as response:
            came = RUN.now()
            status = response.status_code
            if status in _FINE:
                response.success()
                body = orjson.loads(response.content) if status != 204 else {}  # noqa: PLR2004 -- no content
                return Answer(body, "", sent, came)
            failure = str(status) if status else type(response.error).__name__
            response.failure(failure)
            return Answer({}, failure, sent, came)

    def _options(self) -> Namespace:
        return cast("Namespace", self.environment.parsed_options)


@events.test_start.add_listener
def begin(environment: Environment, **_: object) -> None:
    """Start the clock, and what watches beside the visitors."""
    options = environment.parsed_options
    if options is None or not options.site_key:
        message = "--site-key is needed: the publishable key of the pool."
        raise SystemExit(message)
    RUN.begin(options.begin_at or time.time())
    if isinstance(environment.runner, WorkerRunner):
        return
    gevent.spawn(_end, environment, options)
    if options.secret_key and options.pool_id:
        gevent.spawn(_watch, environment, options)


def _end(environment: Environment, options: Namespace) -> None:
    gevent.sleep(max(0.0, options.length - RUN.now()))
    if environment.runner is not None:
        if options.headless:
            environment.runner.quit()
        else:
            environment.runner.stop()


def _watch(environment: Environment, options: Namespace) -> None:
    """Read once a second how full the pool is."""
    url = f"{(environment.host or '').rstrip('/')}/pools/{options.pool_id}"
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {options.secret_key}"
    while RUN.now() < options.length:
        try:
            held = session.get(url, timeout=2).json()["occupancy"]
            RUN.ledger.occupancy[int(RUN.now())] = (int(held["leased"]), int(held["numbers"]))
        except (requests.RequestException, KeyError, ValueError):
            pass  # during an outage there is nothing to draw
        gevent.sleep(1)


@events.report_to_master.add_listener
def send_up(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 -- locust names them
    """Hand what this worker counted since the last time to the master."""
    data["rehearsal"] = RUN.ledger.pack()
    RUN.ledger.clear()


@events.worker_report.add_listener
def take_in(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 -- locust names them
    """Add what a worker counted."""
    RUN.ledger.merge(Ledger.unpack(data["rehearsal"]))


@events.quitting.add_listener
def conclude(environment: Environment, **_: object) -> None:
    """Judge, say so, write the report; the exit status is 1 when an objective was missed."""
    options = environment.parsed_options
    if options is None or isinstance(environment.runner, WorkerRunner):
        return
    outage = _outage(SHAPES[options.shape], options)
    judgements = judge(
        RUN.ledger,
        Objectives(
            p99_ms=options.slo_p99_ms,
            failed=options.slo_failed,
            turned_away=options.slo_turned_away,
        ),
        excused=range(*outage) if outage else (),
    )
    print(report.table(judgements))  # noqa: T201 -- the answer of the command
    if options.report:
        facts = report.Facts(
            title=f"Rehearsal: {options.shape}, {SHAPES[options.shape].summary}",
            about={
                "visitors a second, base": f"{options.visitors_per_s:g} for each of the streams",
                "length": f"{options.length:g} s",
                "a page is read": f"{options.view_s:g} s",
                "load from": f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d %H:%M')}",
            },
            excused=outage,
        )
        Path(options.report).write_text(report.page(facts, RUN.ledger, judgements), "utf-8")
    environment.process_exit_code = 0 if all(each.held for each in judgements) else 1


def _outage(shape: Shape, options: Namespace) -> tuple[int, int] | None:
    if shape.outage is None or not options.excuse_outage:
        return None
    return int(shape.outage[0] * options.length), math.ceil(shape.outage[1] * options.length)
