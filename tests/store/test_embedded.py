"""The embedded server outlives every kind of death around it, and never loses what it was told.

Real servers, real SIGKILLs. Each test has a data directory of its own.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable
from dni_allocator.store.embedded import SOCKET_PATH_LIMIT, EmbeddedServer, find_executable
from tests.support.waiting import wait_until

# The bundled server must be there; those of the machine are tried too where there are any.
PROGRAMS = [
    None,
    *(Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))),
]

# Another process of the service, in small: it says what it got, then waits for one line.
SERVICE = """
import sys
from pathlib import Path
from dni_allocator.store.embedded import EmbeddedServer

server = EmbeddedServer.start(Path(sys.argv[1]))
print(server.pid, server.owned, flush=True)
sys.stdin.readline()
server.stop()
"""


@contextmanager
def service(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of the service on the data directory, stopped in order at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate("stop\n", timeout=30)


@contextmanager
def other_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int, bool]]:
    """As `service`, once it has a server: itself, its server's pid, whether it owns it."""
    with service(data_dir) as process:
        assert process.stdout is not None
        pid, owned = process.stdout.readline().split()
        yield process, int(pid), owned == "True"


def write(server: EmbeddedServer, value: str) -> None:
    """Tell the server something worth keeping."""
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", value)


def read(server: EmbeddedServer) -> str | None:
    """What the server was told."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        value = client.get("kept")
    assert value is None or isinstance(value, str)
    return value


def is_gone(server: EmbeddedServer) -> Callable[[], bool]:
    """A condition: nothing answers at the server's socket any more."""

    def answers_nothing() -> bool:
        try:
            with redis.Redis.from_url(server.url) as client:
                client.ping()
        except redis.exceptions.ConnectionError:
            return True
        return False

    return answers_nothing


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_data_survive_a_stop_and_a_start(tmp_path: Path, program: Path | None) -> None:
    """What was written before a clean stop is there after the next start, on any server program."""
    with EmbeddedServer.start(tmp_path, executable=program) as server:
        write(server, "before")

    with EmbeddedServer.start(tmp_path, executable=program) as server:
        value = read(server)

    assert value == "before"


def test_a_stopped_server_leaves_nothing_but_data_locks_and_log(tmp_path: Path) -> None:
    """After a clean stop no socket or pid file is there to mislead anybody."""
    server = EmbeddedServer.start(tmp_path)

    server.stop()
    server.stop()

    assert is_gone(server)()
    assert {path.name for path in (tmp_path / "valkey").iterdir()} == {
        "appendonlydir",
        "owner.lock",
        "server.lock",
        "start.lock",
        "valkey.log",
    }


def test_only_the_user_may_reach_the_server(tmp_path: Path) -> None:
    """The socket and its directory are closed to other users, and no TCP port is open."""
    with (
        EmbeddedServer.start(tmp_path) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        port = client.config_get("port")

        assert mode(server.socket_path.parent) == 0o700
        assert mode(server.socket_path) == 0o700
        assert port == {"port": "0"}


def test_it_writes_every_command_to_disk_and_never_evicts(tmp_path: Path) -> None:
    """The settings that durability and exclusiveness rest on are the ones in force."""
    with (
        EmbeddedServer.start(tmp_path) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        settings = client.config_get(
            "appendonly", "appendfsync", "aof-load-truncated", "maxmemory-policy", "save"
        )

    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }


def test_a_second_process_attaches_and_does_not_stop_it(tmp_path: Path) -> None:
    """`forward` or `sink` beside `serve` share its server, and leave it running when they end."""
    with EmbeddedServer.start(tmp_path) as server:
        with other_process(tmp_path) as (process, pid, owned):
            process.communicate("stop\n", timeout=30)
        write(server, "still here")

        assert (pid, owned) == (server.pid, False)
        assert process.returncode == 0
        assert read(server) == "still here"


def test_a_second_start_in_one_process_attaches(tmp_path: Path) -> None:
    """Asking twice in one process gives one server, stopped by the first asker only."""
    with EmbeddedServer.start(tmp_path) as first:
        second = EmbeddedServer.start(tmp_path)
        second.stop()

        write(first, "still here")
        assert (second.pid, first.owned, second.owned) == (first.pid, True, False)


def test_processes_that_start_at_the_same_moment_share_one_server(tmp_path: Path) -> None:
    """However the start is raced, the data have one server and the server one owner."""
    with ExitStack() as stack:
        processes = [stack.enter_context(service(tmp_path)) for _ in range(5)]
        answers = [process.stdout.readline().split() for process in processes if process.stdout]

        assert len({pid for pid, _ in answers}) == 1
        assert sorted(owned for _, owned in answers) == ["False"] * 4 + ["True"]


def test_a_killed_service_leaves_a_server_that_the_next_one_takes_over(tmp_path: Path) -> None:
    """SIGKILL of the service: the server lives on, and the next start owns it and can stop it."""
    with other_process(tmp_path) as (process, pid, owned):
        with redis.Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")) as client:
            client.set("kept", "by the orphan")
        process.kill()
        process.wait()

        with EmbeddedServer.start(tmp_path) as server:
            value = read(server)

    assert owned
    assert (server.pid, value) == (pid, "by the orphan")
    assert is_gone(server)()


def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path) -> None:
    """SIGKILL of the server: its stale socket and pid file are no obstacle, its data are back."""
    with EmbeddedServer.start(tmp_path) as killed:
        write(killed, "before the kill")
        os.kill(killed.pid, signal.SIGKILL)
        wait_until(is_gone(killed))

    with EmbeddedServer.start(tmp_path) as server:
        value = read(server)

    assert server.pid != killed.pid
    assert value == "before the kill"


def test_service_and_server_killed_at_once_come_back_with_their_data(tmp_path: Path) -> None:
    """A power cut in small: nobody cleaned up, the socket and pid files still lie there."""
    with other_process(tmp_path) as (process, pid, _):
        with redis.Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")) as client:
            client.set("kept", "before the kill")
        process.kill()
        os.kill(pid, signal.SIGKILL)
        process.wait()

    with EmbeddedServer.start(tmp_path) as server:
        value = read(server)

    assert (tmp_path / "valkey" / "valkey.log").exists()
    assert value == "before the kill"


def test_attaching_to_an_owner_without_its_server_is_a_clear_error(tmp_path: Path) -> None:
    """A process that may not own the data does not start a server behind the owner's back."""
    with EmbeddedServer.start(tmp_path) as owner:
        os.kill(owner.pid, signal.SIGKILL)
        wait_until(is_gone(owner))

        with pytest.raises(StoreUnavailable, match="its server is gone"):
            EmbeddedServer.start(tmp_path)


def test_a_torn_last_write_is_dropped_and_the_rest_is_loaded(tmp_path: Path) -> None:
    """A crash in the middle of a write leaves half a command in the log; the service still starts.

    Source: Valkey's `aof-load-truncated`.
    """
    with EmbeddedServer.start(tmp_path) as server:
        write(server, "whole")
    (log,) = (tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nke")

    with EmbeddedServer.start(tmp_path) as server:
        value = read(server)

    assert value == "whole"


def test_a_data_directory_with_a_very_long_path_works(tmp_path: Path) -> None:
    """Unix socket paths are short by law of the kernel; data directories are not."""
    data_dir = tmp_path / ("long" * 30)

    with EmbeddedServer.start(data_dir) as server:
        write(server, "reached")
        socket_dir = server.socket_path.parent
        in_use = (len(os.fsencode(server.socket_path)) <= SOCKET_PATH_LIMIT, mode(socket_dir))
        with other_process(data_dir) as (_, pid, owned):
            attached = (pid, owned)

    assert in_use == (True, 0o700)
    assert attached == (server.pid, False)
    assert not socket_dir.exists()


def test_a_data_directory_may_have_any_name(tmp_path: Path) -> None:
    """Spaces, quotes and percent signs are ordinary characters of a path."""
    with EmbeddedServer.start(tmp_path / 'a "b" %41 é') as server:
        write(server, "reached")

        assert read(server) == "reached"


def test_a_server_program_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    """A wrong DNI_EMBEDDED_SERVER is said so; it is not silently replaced by another server."""
    with pytest.raises(ConfigurationError, match=r"/nowhere/valkey-server .*DNI_EMBEDDED_SERVER"):
        EmbeddedServer.start(tmp_path, executable=Path("/nowhere/valkey-server"))


def test_no_server_program_at_all_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine without wheel and without Redis the error names the three ways out."""
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match="DNI_REDIS_URL"):
        find_executable()


def test_a_server_of_the_machine_is_the_fallback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the wheel, valkey-server on the PATH is preferred to redis-server."""
    for name in ("redis-server", "valkey-server"):
        program = tmp_path / name
        program.touch(mode=0o700)
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_executable() == tmp_path / "valkey-server"


def test_a_program_that_is_no_server_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    """A program that ends at once is reported with its exit code and its output, and no wait."""
    program = tmp_path / "not-a-server"
    program.write_text("#!/bin/sh\necho 'I am no server' >&2\nexit 3\n")
    program.chmod(0o700)

    with pytest.raises(StoreUnavailable, match=r"(?s)ended with code 3.*I am no server"):
        EmbeddedServer.start(tmp_path / "data", executable=program)


def test_a_data_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """DNI_DATA_DIR below a file is refused with the reason of the operating system."""
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="cannot be used"):
        EmbeddedServer.start(tmp_path / "file" / "data")


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    """The server is out of the terminal's process group, so the service can drain before it."""
    with EmbeddedServer.start(tmp_path) as server:
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getpgid(server.pid) != os.getpgid(0)
