"""A real PostgreSQL for the tests: a server of its own in a temporary directory, on a socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

_DEBIAN = Path("/usr/lib/postgresql")


def find_programs() -> Path:
    """Where `initdb` and `postgres` are.

    Raises:
        AssertionError: Nowhere; says what to install.
    """
    for directory in sorted(_DEBIAN.glob("*/bin"), reverse=True):
        if (directory / "initdb").is_file() and (directory / "postgres").is_file():
            return directory
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    raise AssertionError(
        "no PostgreSQL server is installed: apt-get install postgresql, or brew install postgresql"
    )


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Start a server, give the SQLAlchemy URL of its database, end it. About 2 s."""
    programs = find_programs()
    # Not pytest's directory: the server's own user must be able to reach it, and a socket's path
    # must be short.
    with tempfile.TemporaryDirectory(prefix="dni-pg-") as name:
        room = Path(name)
        prefix = _unprivileged(room)
        data = room / "data"
        initdb = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "sink",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run([*prefix, *initdb, "--no-locale"], check=True, capture_output=True, cwd=room)
        control = [*prefix, str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "30"]
        options = f"-c listen_addresses= -c unix_socket_directories={room} -c fsync=off"
        log = str(room / "log")
        subprocess.run(
            [*control, "-l", log, "-o", options, "start"], check=True, capture_output=True, cwd=room
        )
        try:
            yield f"postgresql+psycopg://sink@/postgres?host={quote(name)}"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=room
            )


def _unprivileged(room: Path) -> list[str]:
    """PostgreSQL refuses to run as root: the command in front that makes it somebody else."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    os.chown(room, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
