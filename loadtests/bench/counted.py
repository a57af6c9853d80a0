"""A process under valgrind's callgrind: how many instructions of user space it executed."""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from redis import Redis

START_S = 120.0
"""The longest that something takes to start under valgrind."""

_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


def under_valgrind(out: Path) -> list[str]:
    """What to put before a command, so that it can be counted; nothing is until told."""
    return [
        "valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
        f"--callgrind-out-file={out}",
    ]  # fmt: skip


class Counter:
    """A process started `under_valgrind`: its instructions since the last reset."""

    def __init__(self, pid: int, out: Path) -> None:
        self.pid = pid
        self._out = out
        self._dumps = 0
        self._counting = False

    def reset(self) -> None:
        """Count from here on. Before the first time nothing is, which makes starting quick."""
        if not self._counting:
            self._control("--instr=on")
            self._counting = True
        self._control("--zero")

    def read(self) -> int:
        """The instructions since the last reset."""
        self._dumps += 1
        self._control("--dump")
        dump = self._out.with_name(f"{self._out.name}.{self._dumps}")
        found = _TOTALS.search(dump.read_text("utf-8", errors="replace"))
        if found is None:
            raise RuntimeError(f"{dump} has no totals")
        return int(found[1])

    def _control(self, order: str) -> None:
        subprocess.run(  # noqa: S603 -- a program of valgrind's, on a process of ours
            ["callgrind_control", order, str(self.pid)],  # noqa: S607
            check=True,
            capture_output=True,
            timeout=START_S,
        )


class Obedient(Counter):
    """One that reads orders from its standard input, and answers each with a line."""

    def __init__(self, pid: int, out: Path, pipes: tuple[IO[str], IO[str]]) -> None:
        super().__init__(pid, out)
        self._told, self._heard = pipes

    def ask(self, line: str) -> None:
        """Say something, and wait until it is done."""
        self._told.write(f"{line}\n")
        self._told.flush()
        self._heard.readline()


@contextmanager
def counted(command: Sequence[object], room: Path) -> Iterator[Obedient]:
    """Start a command under valgrind, its files in `room`; killed at the end."""
    out = room / "counted"
    process = subprocess.Popen(  # noqa: S603 -- valgrind, on this interpreter or our server
        [*under_valgrind(out), *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    try:
        yield Obedient(process.pid, out, (process.stdin, process.stdout))
    finally:
        process.kill()
        process.communicate()


def wait_until_answers(socket: Path) -> None:
    """Until a Redis behind this socket answers. Raises when it takes too long."""
    until = time.monotonic() + START_S
    while True:
        try:
            with Redis(unix_socket_path=str(socket)) as client:
                client.ping()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
