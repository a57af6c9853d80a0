"""The real program is killed in the middle of an order, and started again: nothing twice."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.buying import vendor_settings
from tests.support.program import answers
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, POOL
from tests.support.vendors.standin import Fault, Vendor, selling
from tests.support.waiting import wait_until_async

NUMBERS = fictional(6)
AUTH = {"Authorization": f"Bearer {ADMIN_KEY}"}


def _start(vendor: Vendor, *, port: int, folder: Path) -> "subprocess.Popen[bytes]":
    told = {f"DNI_{name.upper()}": value for name, value in vendor_settings(vendor).items()}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DNI_")},
        **told,
        "DNI_PORT": str(port),
        "DNI_DATA_DIR": str(folder / "data"),
        "DNI_ADMIN_KEY": ADMIN_KEY,
        "DNI_DRAIN_S": "0",
    }
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dni_allocator", "serve"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip


@pytest.mark.chaos
@pytest.mark.parametrize("vendor_name", ["twilio", pytest.param("telnyx", marks=pytest.mark.long)])
async def test_an_order_survives_kills_and_buys_nothing_twice(
    tmp_path: Path, port: int, vendor_name: str
) -> None:
    """Killed twice, each time after the vendor sold and before it answered."""
    async with selling() as vendor, httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=AUTH
    ) as http:  # fmt: skip
        vendor.put(*NUMBERS)
        vendor.faults["order"] = [Fault.SILENT_AFTER, Fault.SILENT_AFTER]
        process = _start(vendor, port=port, folder=tmp_path)
        try:
            await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")
            pool = (await http.post("/pools", json=POOL)).json()["id"]
            body = {"pool": pool, "vendor": vendor_name, "quantity": 3}
            made = (await http.post("/purchases", json=body)).json()["id"]

            # Telnyx takes all numbers in one order, so there is nothing left to kill a second time.
            for _ in range(2 if vendor_name == "twilio" else 1):
                await vendor.waiting.wait()
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)
                vendor.waiting.clear()
                process = _start(vendor, port=port, folder=tmp_path)

            await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready again")

            async def closed() -> bool:
                order = (await http.get(f"/purchases/{made}")).json()
                return bool(order["state"] == "done")

            await wait_until_async(closed, timeout_s=50, what="the order is done")
            numbers = (await http.get(f"/pools/{pool}/numbers")).json()["numbers"]
            found = (await http.get(f"/vendors/{vendor_name}/reconcile")).json()
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)

    assert len(vendor.sales) == len(set(vendor.sales)) == 3
    assert sorted(each["number"] for each in numbers) == sorted(vendor.sales)
    assert (found["unattached_count"], found["unknown_to_vendor_count"]) == (0, 0)
