"""The log of a busy run: it names no number, visitor, address or key, whatever went wrong."""

import subprocess
from pathlib import Path

import httpx
import redis

from tests.support.program import answers
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL, SHOP, Service
from tests.support.waiting import wait_until_async

VISITOR = "Zk3qTn8vWx0yBc5dEf7gHi"
PAGE = "Pg9qTn8vWx0yBc5dEf7gHi"
CALLER = "+14155550177"
ADDRESS = "203.0.113.77"
TEXT = "ann@shop.example"
NUMBERS = fictional(2)


async def test_a_busy_run_names_nobody_in_its_log(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """Good and bad calls, errors, an erasure, a store that dies under them: read every line."""
    auth = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
        await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=30)
        made = (await http.post("/pools", json=POOL, headers=auth)).json()
        pool = f"/pools/{made['id']}"
        await http.post(f"{pool}/numbers", json={"numbers": NUMBERS}, headers=auth)
        body = {
            "key": made["key"], "visitor_id": VISITOR, "page_id": PAGE,
            "url": f"https://shop.example/?email={TEXT}", "fields": {"email": TEXT},
        }  # fmt: skip
        told = {"Origin": ORIGIN, "X-Forwarded-For": ADDRESS, "X-Request-Id": VISITOR}

        async def busy() -> list[httpx.Response]:
            number = NUMBERS[0]
            return [
                await http.post("/assign", json=body, headers=told),
                await http.post("/assign", json={**body, "destinations": [TEXT]}, headers=told),
                await http.post("/assign", content=VISITOR.encode(), headers=told),
                await http.post("/heartbeat", json=body, headers=told),
                await http.get(f"/attribution/{number}", headers=auth | told),
                await http.get(f"/attribution/{TEXT}", headers=auth),
                await http.post(
                    "/calls", json={"number": number, "caller": CALLER}, headers=auth | told
                ),
                await http.post("/calls", json={"number": VISITOR, "caller": TEXT}, headers=auth),
                await http.put(
                    f"{pool}/numbers/{number}/quarantine", json={"reason": TEXT}, headers=auth
                ),
                await http.post("/close", json=body, headers=told),
                await http.delete(f"/visitors/{VISITOR}", headers=auth | told),
            ]

        served = await busy()
        room = tmp_path / "data" / "valkey"
        elsewhere = room / "socket"
        socket = elsewhere.read_text().strip() if elsewhere.exists() else str(room / "valkey.sock")
        with redis.Redis(unix_socket_path=socket) as client:
            client.shutdown(nosave=True)
        refused = await busy()

    assert [each.status_code for each in served][:2] == [200, 422]
    assert served[-1].status_code == 200
    assert {each.status_code for each in refused} >= {503, 400}
    serve.terminate()
    serve.wait(timeout=30)
    log = (tmp_path / "log").read_text()
    assert "store_unavailable" in log
    private = (VISITOR, PAGE, TEXT, ADDRESS, ADMIN_KEY, SHOP, CALLER, *NUMBERS)
    assert {each for each in private if each in log or each.lstrip("+") in log} == set()


async def test_an_answer_names_its_request(service: Service) -> None:
    """A proxy's id is taken over if it looks like one; anything else is not repeated."""
    given = "0af7651916cd43dd8448eb211c80319c"

    made = await service.admin("GET", "/pools")
    taken = await service.admin("GET", "/pools", **{"X-Request-Id": given})
    refused = await service.admin("GET", "/pools", **{"X-Request-Id": TEXT})

    assert len(made.headers["x-request-id"]) == 32
    assert taken.headers["x-request-id"] == given
    assert TEXT not in refused.headers["x-request-id"]
