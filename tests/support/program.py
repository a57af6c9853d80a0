"""The program itself: a real `dni-allocator serve` with its embedded server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import httpx
import pytest

from tests.support.service import ADMIN_KEY

DRAIN_S = 1


def free_port() -> int:
    """A port nobody listens on."""
    with create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def port() -> int:
    """A port nobody listens on."""
    return free_port()


@pytest.fixture
def serve(tmp_path: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The program as an operator starts it, with the embedded server."""
    with started(tmp_path, port) as process:
        yield process


@contextmanager
def started(
    tmp_path: Path, port: int, *, role: str = "serve", **more: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, with `more` variables. What it says goes to `tmp_path / "log"`."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DNI_")},
        "DNI_PORT": str(port),
        "DNI_DATA_DIR": str(tmp_path / "data"),
        "DNI_ADMIN_KEY": ADMIN_KEY,
        "DNI_DRAIN_S": str(DRAIN_S),
        **more,
    }
    command = [sys.executable, "-m", "dni_allocator", role]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            # Terminated, not killed: it takes its embedded server along.
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)


async def answers(http: httpx.AsyncClient, path: str, status: int) -> bool:
    """Whether a GET is answered so by now."""
    try:
        return (await http.get(path)).status_code == status
    except httpx.TransportError:
        return False
