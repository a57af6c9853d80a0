"""`dni-allocator demo` as a person starts it: one process to start, one to stop, nothing left."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dni_allocator.app import App
from dni_allocator.settings import Settings
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "dni_allocator", "demo"]


@dataclass(frozen=True, slots=True)
class Started:
    """A running command and what it printed."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """Everything it wrote so far, errors too."""
        return self.output.read_text("utf-8")

    @property
    def url(self) -> str:
        """The page's address, as printed."""
        return self._printed(r"Open\s+(http://\S+)")

    @property
    def sink_url(self) -> str:
        """The sink's address, as printed."""
        return self._printed(r"Sink\s+(http://\S+)")

    @property
    def admin_key(self) -> str:
        """The admin key, as printed."""
        return self._printed(r"(sk_\S+)\n")

    def _printed(self, pattern: str) -> str:
        found = re.search(pattern, self.said)
        assert found, self.said
        return found[1]


@contextmanager
def started(data_dir: Path, *, port: int = 0) -> Iterator[Started]:
    """The command, once it has said that it runs; stopped at the end if it still does."""
    output = data_dir.with_suffix(".txt")
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port), "--data-dir", str(data_dir)],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    demo = Started(process, output)
    try:
        wait_until(
            lambda: "Ctrl-C stops everything" in demo.said or process.poll() is not None,
            what="the command's message",
        )
        assert process.poll() is None, demo.said
        yield demo
    finally:
        if process.poll() is None:
            # So that a failed test leaves no server behind.
            process.terminate()
        process.wait(timeout=30)


def stop(demo: Started, *, by: signal.Signals = signal.SIGTERM) -> int:
    """Stop it as a terminal or a supervisor does; the exit status."""
    demo.process.send_signal(by)
    return demo.process.wait(timeout=30)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_demo_serves_the_page_and_leaves_nothing_behind(tmp_path: Path, by: signal.Signals) -> None:
    """What it prints is where to look; one signal ends it and its server."""
    with started(tmp_path / "demo") as demo:
        store = int((tmp_path / "demo" / "valkey" / "valkey.pid").read_text())
        page = httpx.get(demo.url, trust_env=False)

        status = stop(demo, by=by)

        assert page.status_code == httpx.codes.OK
        assert '<script async src="/tag.js?key=pk_' in page.text
        assert status == 0, demo.said
        assert "Traceback" not in demo.said
        with pytest.raises(ProcessLookupError):
            os.kill(store, 0)
        with pytest.raises(httpx.ConnectError):
            httpx.get(demo.url, trust_env=False)
        with pytest.raises(httpx.ConnectError):
            httpx.get(demo.sink_url, trust_env=False)


def test_printed_key_opens_the_api(tmp_path: Path) -> None:
    """The printed curl command is true: a number of the pool, and nobody has it yet."""
    with started(tmp_path / "demo") as demo:
        address = re.search(r"http://\S+/attribution/\S+", demo.said)
        assert address

        answer = httpx.get(
            address[0], headers={"Authorization": f"Bearer {demo.admin_key}"}, trust_env=False
        )

        assert answer.json()["basis"] == "none"


def test_second_start_goes_on_with_the_data_of_the_first(tmp_path: Path) -> None:
    """The same pool, the same keys, the same events at the sink; on other ports, if need be."""
    with started(tmp_path / "demo") as first:
        lease(first)
        wait_until(lambda: len(received(first)) == 1, what="the event at the sink")
        before = (first.admin_key, publishable_key(first), received(first))
        stop(first)
    with started(tmp_path / "demo") as second:
        after = (second.admin_key, publishable_key(second), received(second))
        lease(second)
        wait_until(lambda: len(received(second)) == 2, what="the second event at the sink")
        stop(second)

    assert before == after


def test_start_after_a_kill_takes_over(tmp_path: Path) -> None:
    """Nothing was tidied up, the server still runs without an owner: the next start has it all."""
    with started(tmp_path / "demo") as first:
        key = publishable_key(first)
        first.process.kill()
        first.process.wait()
    with started(tmp_path / "demo") as second:
        assert publishable_key(second) == key

        assert stop(second) == 0


def test_taken_port_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    """A sentence that helps, an exit status that scripts see, and no data directory yet."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        ended = subprocess.run(
            [*COMMAND, "--port", str(port), "--data-dir", str(tmp_path / "demo")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert ended.returncode == 2
    assert f"port {port} is taken" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "demo").exists()


def test_second_demo_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """Two of them would take each other's events; the first one goes on."""
    with started(tmp_path / "demo") as first:
        ended = subprocess.run(
            [*COMMAND, "--port", "0", "--data-dir", str(tmp_path / "demo")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

        assert ended.returncode == 2
        assert "another process uses the data" in ended.stderr
        assert httpx.get(first.url, trust_env=False).status_code == httpx.codes.OK
        assert stop(first) == 0


async def test_service_itself_has_no_demo() -> None:
    """Only the demo command puts the page there; `serve` knows nothing of it."""
    app = App(Settings(redis_url="redis://localhost"))

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://service"
    ) as client:
        answers = [await client.get(path) for path in ("/", "/demo", "/demo/received")]

    assert [answer.status_code for answer in answers] == [httpx.codes.NOT_FOUND] * 3


def lease(demo: Started) -> None:
    """A page view of a new visitor, as the tag reports it."""
    body = {"key": publishable_key(demo)}
    address = demo.url.removesuffix("/demo") + "/assign"
    answer = httpx.post(address, json=body, trust_env=False).raise_for_status().json()
    assert answer["numbers"][0]["status"] == "leased"


def publishable_key(demo: Started) -> str:
    """The key in the page's tag."""
    found = re.search(r"/tag\.js\?key=(pk_\w+)", httpx.get(demo.url, trust_env=False).text)
    assert found
    return found[1]


def received(demo: Started) -> list[str]:
    """Ids of the events that the sink has."""
    events = httpx.get(demo.sink_url, trust_env=False).raise_for_status().json()["events"]
    return [str(event["id"]) for event in events]
