"""The store is away: every call says so and when to come back; then it recovers by itself."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from dni_allocator.app import App
from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.services.access import digest
from dni_allocator.settings import Settings
from dni_allocator.store import keys
from dni_allocator.store.embedded import EmbeddedServer
from tests.http.test_bad_input import assert_problem
from tests.support.service import ADMIN_KEY, Service, serving
from tests.support.waiting import wait_until_async

NUMBER = "+16025550100"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of this test's own, to be stopped."""
    with EmbeddedServer.start(tmp_path, durable=False) as server:
        yield server


async def _ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def _everything(service: Service) -> AsyncIterator[httpx.Response]:
    ids = {"key": "pk_any", "visitor_id": "v", "page_id": "p"}
    for path in ("/assign", "/heartbeat", "/close"):
        yield await service.tag(path, ids)
    for path in (
        "/pools",
        f"/attribution/{NUMBER}",
        "/pools/pool_a/numbers",
        "/webhooks",
        "/calls",
        "/calls?format=csv",
        "/calls/call_a_0123456789abcdef",
    ):
        yield await service.admin("GET", path)
    yield await service.http.get("/tag.js", params={"key": "pk_any"})


async def test_everything_answers_503_while_the_store_is_away_and_recovers(
    store: EmbeddedServer, tmp_path: Path
) -> None:
    """A page gets its answer at once, and shows the original number; nobody restarts anything."""
    async with serving(store.url) as service:
        site = await service.pool(NUMBER)
        await site.view("v")
        store.stop()

        assert_problem(await service.http.get("/readyz"), 503, "store-unavailable")
        assert (await service.http.get("/livez")).status_code == 200
        async for answer in _everything(service):
            assert_problem(answer, 503, "store-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert NUMBER not in answer.text

        with EmbeddedServer.start(tmp_path, durable=False) as again:
            if again.url != store.url:
                store.socket_path.symlink_to(again.socket_path)
            await wait_until_async(lambda: _ready(service.http), what="ready again")


async def test_the_service_starts_while_the_store_is_away(tmp_path: Path) -> None:
    """A rolling restart of everything at once ends well in any order."""
    address = tmp_path / "later.sock"
    announced: list[str] = []
    async with serving(f"unix://{address}", admin_key=None, announced=announced) as service:
        assert_problem(await service.http.get("/readyz"), 503, "store-unavailable")
        async for answer in _everything(service):
            assert_problem(answer, 503, "store-unavailable")
        assert announced == []

        with EmbeddedServer.start(tmp_path, durable=False) as store:
            address.symlink_to(store.socket_path)
            await wait_until_async(lambda: bool(announced), what="the admin key")

            answer = await service.http.get(
                "/pools", headers={"Authorization": f"Bearer {announced[0]}"}
            )
            assert answer.status_code == 200
            assert await _ready(service.http)


async def test_ready_until_draining(service: Service) -> None:
    """A process that was told to stop asks for no new work, and closes kept connections."""
    assert await _ready(service.http)
    service.app.health.draining = True

    refused = await service.http.get("/readyz")

    assert_problem(refused, 503, "store-unavailable")
    assert refused.headers["connection"] == "close"
    assert (await service.http.get("/livez")).status_code == 200


async def test_the_admin_key_is_made_once_and_only_its_hash_is_kept(redis_url: str) -> None:
    """The first process announces it, the second finds it; the store could not tell it."""
    first: list[str] = []
    second: list[str] = []
    async with serving(redis_url, admin_key=None, announced=first):
        pass
    async with serving(redis_url, admin_key=None, announced=second) as service:
        (made,) = first
        opened = await service.http.get("/pools", headers={"Authorization": f"Bearer {made}"})
        kept = service.contents()[keys.ADMIN_KEYS]

    assert opened.status_code == 200
    assert second == []
    assert made not in str(kept)
    assert digest(made) in str(kept)


async def test_a_configured_admin_key_replaces_the_one_before(redis_url: str) -> None:
    """DNI_ADMIN_KEY rules; what was made at an earlier start opens nothing any more."""
    made: list[str] = []
    async with serving(redis_url, admin_key=None, announced=made):
        pass

    announced: list[str] = []
    async with serving(redis_url, announced=announced) as service:
        by_new = await service.admin("GET", "/pools")
        by_old = await service.http.get("/pools", headers={"Authorization": f"Bearer {made[0]}"})

    assert (by_new.status_code, by_old.status_code) == (200, 401)
    assert announced == []
    assert ADMIN_KEY not in str(service.contents())


async def test_data_of_another_layout_are_refused(redis_url: str, service: Service) -> None:
    """With another number of shards every pool would be looked for in the wrong place."""
    assert (await service.http.get("/readyz")).status_code == 200
    other = App(Settings.model_validate({"redis_url": redis_url, "shards": 5}))

    with pytest.raises(ConfigurationError, match="shards=4"):
        async with other.running():
            pass
