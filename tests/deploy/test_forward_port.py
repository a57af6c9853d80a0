"""A forwarder of its own tells how it is, too."""

from pathlib import Path

import httpx

from tests.http.test_bad_input import assert_problem
from tests.support.program import answers, started
from tests.support.service import ADMIN_KEY
from tests.support.waiting import wait_until_async


async def test_a_forwarder_has_health_and_metrics_and_nothing_else(
    tmp_path: Path, port: int, redis_url: str
) -> None:
    """Orchestrators and Prometheus ask it as they ask `serve`; pages and callers do not."""
    more = {"DNI_REDIS_URL": redis_url, "DNI_FORWARD_PORT": str(port)}
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with started(tmp_path, port, role="forward", **more) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")

            metrics = await http.get("/metrics", headers=admin)
            assert "dni_build_info" in metrics.text
            assert_problem(await http.get("/metrics"), 401, "unauthorized")
            assert_problem(await http.get("/pools", headers=admin), 404, "not-found")
            assert_problem(await http.post("/assign", json={}), 404, "not-found")
            assert (await http.get("/livez")).status_code == 200

        process.terminate()
        assert process.wait(timeout=30) == 0, (tmp_path / "log").read_text()
