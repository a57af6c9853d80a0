"""The peer a team would write: a lease function of PostgreSQL, `FOR UPDATE SKIP LOCKED`.

Only where PostgreSQL is installed; no HTTP, so this is its best case. A temporary cluster on a
socket, commits as durable as our append-only file (`synchronous_commit = off`: one flush in a
while). Root is refused by PostgreSQL, so root starts it as the user `postgres` or `nobody`.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench.load import CONNECTIONS
from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, Sample, Samples
from loadtests.bench.servers import family_cpu_seconds, pin, wait_for_children

TITLES = {
    "postgresql-new": "PostgreSQL `FOR UPDATE SKIP LOCKED`: new lease",
    "postgresql-renewal": "PostgreSQL: renewal",
}
NAMES = tuple(TITLES)

_SCHEMA = Path(__file__).with_name("postgresql.sql")
_VISITORS = 1_000
_BACKGROUND_WORKERS = 6
"""Children PostgreSQL always has; those of connections come and go, and count when they went."""
_SCRIPTS = {
    "postgresql-new": "SELECT lease(1, 'new-' || gen_random_uuid());",
    "postgresql-renewal": (
        f"\\set visitor random(1, {_VISITORS})\nSELECT lease(1, 'known-' || :visitor);"
    ),
}


async def measure(plan: Plan) -> list[Row]:
    """The rows of this part that the plan wants."""
    wanted = plan.wanted(NAMES)
    programs = _programs()
    if not wanted:
        return []
    if programs is None:
        return [Row(name=name, what=TITLES[name], value="not installed") for name in wanted]
    samples = Samples()
    numbers = plan.scaled(400_000, short=40_000)
    with _cluster(programs) as cluster:
        cluster.psql("--file", str(_SCHEMA))
        cluster.psql("--command", f"SELECT stock({numbers}, {_VISITORS})")
        for _ in range(plan.rounds):
            for name in wanted:
                samples.add(name, cluster.run(_SCRIPTS[name], seconds=plan.seconds))
    return [samples.row(name, TITLES[name], note="no HTTP") for name in wanted]


def _programs() -> Path | None:
    """Where initdb, postgres and pgbench are: Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += [Path(on_path).resolve().parent] if on_path else []
    needed = ("initdb", "postgres", "pgbench", "psql")
    return next((at for at in places if all((at / each).exists() for each in needed)), None)


class _Cluster:
    def __init__(self, programs: Path, room: Path, pid: int, unprivileged: Sequence[str]) -> None:
        self._programs = programs
        self._room = room
        self._pid = pid
        self._unprivileged = unprivileged

    def psql(self, *arguments: str) -> str:
        return self._client("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "--quiet", *arguments)

    def run(self, script: str, *, seconds: float) -> Sample:
        """Run one script for so long; longer where a busy machine finished nothing."""
        sample = self._run(script, seconds=seconds)
        return sample or self.run(script, seconds=2 * seconds)

    def _run(self, script: str, *, seconds: float) -> Sample | None:
        path = self._room / "script.sql"
        path.write_text(script + "\n", "utf-8")
        path.chmod(0o644)
        wait_for_children(self._pid, at_most=_BACKGROUND_WORKERS)
        before = family_cpu_seconds(self._pid)
        out = self._client(
            "pgbench", "--no-vacuum", "--protocol=prepared",
            f"--client={CONNECTIONS}", "--jobs=1", f"--time={max(1, round(seconds))}",
            f"--file={path}",
        )  # fmt: skip
        wait_for_children(self._pid, at_most=_BACKGROUND_WORKERS)
        cpu_s = family_cpu_seconds(self._pid) - before
        done = int(_found(r"transactions actually processed: (\d+)", out))
        if done == 0:
            return None
        return Sample(
            done=done,
            seconds=done / _found(r"tps = ([\d.]+)", out),
            cpu_s=cpu_s,
            errors=int(_found(r"number of failed transactions: (\d+)", out)),
        )

    def _client(self, program: str, *arguments: str) -> str:
        command = [str(self._programs / program), "-h", str(self._room), "-U", "bench"]
        result = subprocess.run(  # noqa: S603 -- PostgreSQL's own clients
            [*self._unprivileged, *command, *arguments, "postgres"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._room,
        )
        if result.returncode:
            raise RuntimeError(f"{program} failed: {result.stderr}")
        return result.stdout


@contextmanager
def _cluster(programs: Path) -> Iterator[_Cluster]:
    with tempfile.TemporaryDirectory(prefix="dni-bench-") as name:
        room = Path(name)
        unprivileged = _unprivileged(room)
        data = room / "data"
        subprocess.run(  # noqa: S603
            [*unprivileged, str(programs / "initdb"), "-D", str(data), "-U", "bench",
             "--auth=trust", "--encoding=UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=room,
        )  # fmt: skip
        server = subprocess.Popen(  # noqa: S603
            [*unprivileged, str(programs / "postgres"), "-D", str(data), "-k", str(room),
             "-c", "listen_addresses=", "-c", "synchronous_commit=off",
             "-c", "shared_buffers=512MB", "-c", "max_connections=100",
             "-c", "max_wal_size=4GB", "-c", "logging_collector=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=room,
        )  # fmt: skip
        pin(server.pid, measured=True)
        try:
            _wait_until_ready(programs, room)
            yield _Cluster(programs, room, server.pid, unprivileged)
        finally:
            # A fast shutdown: PostgreSQL ends its sessions and writes what it has.
            server.send_signal(2)
            server.wait(60)


def _unprivileged(room: Path) -> list[str]:
    """How to start a program as somebody else than root, who then owns the room."""
    if os.geteuid() != 0:
        return []
    known = {each.pw_name: each for each in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(room, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _wait_until_ready(programs: Path, room: Path) -> None:
    subprocess.run(  # noqa: S603
        [str(programs / "pg_isready"), "-h", str(room), "-t", "30"],
        check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(300):
        ready = subprocess.run(  # noqa: S603
            [str(programs / "pg_isready"), "-h", str(room), "-q"], check=False
        )
        if ready.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL did not come up")


def _found(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"pgbench did not tell {pattern}: {text}")
    return float(match[1])
