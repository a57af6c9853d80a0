"""An upgrade while visitors are there: new processes come, the old ones go one by one."""

import asyncio
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.balancer import Balancer, balancing
from tests.support.program import free_port, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL
from tests.support.waiting import POLL_S, wait_until_async

VISITORS: Final = 6
_MORE: Final = 30


@dataclass(slots=True)
class Traffic:
    """What visitors saw, all of them together."""

    served: int = 0
    failed: list[str] = field(default_factory=list)
    numbers: dict[str, set[str]] = field(default_factory=dict)
    over: bool = False

    async def visit(self, base: str, key: str, visitor: str) -> None:
        """One visitor opens pages and stays on them, until it is over."""
        async with httpx.AsyncClient(base_url=base, timeout=10) as browser:
            for page in count():
                if self.over:
                    return
                body = {"key": key, "visitor_id": visitor, "page_id": f"p{page % 3}"}
                for path in ("/assign", "/heartbeat"):
                    try:
                        answer = await browser.post(path, json=body)
                    except httpx.TransportError as error:
                        self.failed.append(repr(error))
                        continue
                    if answer.status_code != 200:
                        self.failed.append(answer.text)
                    elif path == "/assign":
                        (row,) = answer.json()["numbers"]
                        self.numbers.setdefault(visitor, set()).add(row["number"])
                    self.served += 1
                # People read, too; and the programs that start need the machine.
                await asyncio.sleep(POLL_S)

    async def more(self) -> None:
        """Wait until a good many more were served."""
        wanted = self.served + _MORE
        assert await wait_until_async(lambda: self.served >= wanted, what="traffic goes on")


async def ready(balancer: Balancer, *ports: int) -> None:
    """Wait until the balancer sends requests to these, and to no others."""
    assert await wait_until_async(
        lambda: set(balancer.ready) == set(ports), timeout_s=90, what="ready"
    )


@pytest.mark.timeout(180)  # four starts of the program, on a machine that has much else to do
async def test_every_process_is_replaced_and_no_request_fails(
    tmp_path: Path, redis_url: str
) -> None:
    """New ones start beside the old ones, which are told to stop in turn; nobody notices.

    They keep their numbers, too: nothing of a lease is in a process.
    """
    old = [free_port(), free_port()]
    new = [free_port(), free_port()]
    traffic = Traffic()
    with ExitStack() as programs:

        def start(port: int) -> "subprocess.Popen[bytes]":
            folder = tmp_path / str(port)
            folder.mkdir()
            return programs.enter_context(started(folder, port, DNI_REDIS_URL=redis_url))

        processes = {port: start(port) for port in old}
        async with balancing() as balancer:
            for port in old:
                balancer.add(port)
            await ready(balancer, *old)
            base = f"http://127.0.0.1:{balancer.port}"
            key = await a_pool(base)
            visitors = [
                asyncio.create_task(traffic.visit(base, key, f"v{each}"))
                for each in range(VISITORS)
            ]
            await traffic.more()

            for port in new:
                processes[port] = start(port)
                balancer.add(port)
            await ready(balancer, *old, *new)
            for port, left in zip(old, ([old[1], *new], new), strict=True):
                processes[port].send_signal(signal.SIGTERM)
                await ready(balancer, *left)
                await traffic.more()
                assert await wait_until_async(partial(ended, processes[port]), what="the end")
                balancer.remove(port)
            await traffic.more()
            traffic.over = True
            await asyncio.gather(*visitors)

    assert traffic.failed == []
    assert {process.returncode for process in processes.values()} == {0}
    assert {port for port, times in balancer.served.items() if times} == {*old, *new}
    assert len(traffic.numbers) == VISITORS
    assert all(len(numbers) == 1 for numbers in traffic.numbers.values()), "a number changed"
    assert len(set.union(*traffic.numbers.values())) == VISITORS


def ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it is over."""
    return process.poll() is not None


async def a_pool(base: str) -> str:
    """A number for each visitor; the publishable key."""
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=base, headers=admin) as http:
        made = (await http.post("/pools", json=POOL)).json()
        attached = await http.post(
            f"/pools/{made['id']}/numbers", json={"numbers": list(fictional(VISITORS))}
        )
        assert attached.is_success, attached.text
        return str(made["key"])
