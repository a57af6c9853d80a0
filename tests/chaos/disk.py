"""Disks that fill up and are freed again, under a server that runs.

Everywhere on Linux: a limit on the size of the server's files, which another process of the same
user may set and lift; the server is told EFBIG where a full disk says ENOSPC, and treats both
alike. Where this process may mount: a file system of two megabytes, and a file that takes the rest.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Final, Protocol

from dni_allocator.store.embedded import EmbeddedServer, find_executable

_SIZE: Final = "2m"


class Disk(Protocol):
    """Where a server keeps its log of writes."""

    def fill(self, server: EmbeddedServer) -> None:
        """Leave no room for another write of any length."""
        ...

    def free(self, server: EmbeddedServer) -> None:
        """There is room again."""
        ...


class _Limited:
    """The log may not grow beyond what it is."""

    def fill(self, server: EmbeddedServer) -> None:
        log_of_writes = max(
            (server.socket_path.parent / "appendonlydir").glob("*.aof"),
            key=lambda file: file.stat().st_size,
        )
        self._limit(server, log_of_writes.stat().st_size)

    def free(self, server: EmbeddedServer) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(server: EmbeddedServer, size: int) -> None:
        with suppress(ProcessLookupError):  # it may have ended because of the limit
            _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))


class _Mounted:
    """A file takes what the file system has left."""

    def __init__(self, mount: Path) -> None:
        self._filler = mount / "filler"

    def fill(self, _: EmbeddedServer) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4_096))
            except OSError:
                return

    def free(self, _: EmbeddedServer) -> None:
        self._filler.unlink()


@contextmanager
def limited(room: Path) -> Iterator[tuple[Disk, EmbeddedServer]]:
    """A server that outlives the signal which comes with the limit."""
    script = room / "server"
    script.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {quote(str(find_executable()))} \"$@\"\n")
    script.chmod(0o700)
    with EmbeddedServer.start(room / "data", executable=script) as server:
        yield _Limited(), server


@contextmanager
def mounted(room: Path) -> Iterator[tuple[Disk, EmbeddedServer]]:
    """A server on a file system of its own."""
    mount = room / "data"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", mount], check=True)
    try:
        with EmbeddedServer.start(mount) as server:
            yield _Mounted(mount), server
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def may_mount() -> bool:
    """Whether this process may; root in a container often may not."""
    if os.geteuid() != 0:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # noqa: S108 - hidden from nobody else
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


Making = Callable[[Path], AbstractContextManager[tuple[Disk, EmbeddedServer]]]

DISKS: Final[tuple[Making, ...]] = (limited, mounted) if may_mount() else (limited,)


def kill(server: EmbeddedServer) -> None:
    """SIGKILL: what the server has in its memory only is gone."""
    os.kill(server.pid, signal.SIGKILL)
