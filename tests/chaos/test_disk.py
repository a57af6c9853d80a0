"""The disk of the store is full: nothing is written, all that was answered is kept, reads go on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from dni_allocator.services.doctor import Level, log_of_writes
from dni_allocator.store.embedded import EmbeddedServer
from tests.chaos.disk import DISKS, Disk, Making, kill
from tests.support import invariants
from tests.support.rig import fictional
from tests.support.service import Site, serving
from tests.support.waiting import wait_until_async

VISITORS = 30


@pytest.fixture(params=DISKS, ids=[each.__name__ for each in DISKS])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Disk, EmbeddedServer]]:
    """A durable store on a disk that can be filled."""
    making: Making = request.param
    with making(tmp_path) as made:
        yield made


def refused(answer: httpx.Response) -> bool:
    """Whether it says that the store does not write, and when to come back."""
    return (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        and answer.json()["code"] == "store-unavailable"
        and int(answer.headers["retry-after"]) >= 1
    )


async def views(site: Site, name: str) -> list[httpx.Response]:
    """A page view of each of some visitors, all at once."""
    return await asyncio.gather(*(site.ask(f"{name}-{at}") for at in range(VISITORS)))


async def test_writes_are_refused_while_the_disk_is_full_and_taken_when_it_is_freed(
    disk: tuple[Disk, EmbeddedServer],
) -> None:
    """Pages show the original number, backends are answered, nobody restarts anything.

    What was answered in the turn that met the full disk waits in the server's memory, and is
    written as soon as there is room: it survives a kill then, as all that was answered does.
    """
    place, server = disk
    async with serving(server.url) as service:
        site = await service.pool(*fictional(3 * VISITORS))
        before = await views(site, "before")
        place.fill(server)

        meeting = await views(site, "meeting")
        known = await service.attribution(before[0].json()["numbers"][0]["number"])
        during = await views(site, "during")
        beating = await service.tag(
            "/heartbeat", {"key": site.key, "visitor_id": "before-0", "page_id": "page"}
        )
        ready = await service.http.get("/readyz")
        with await asyncio.to_thread(EmbeddedServer.start, server.socket_path.parents[1]) as beside:
            assert not beside.owned, "as the doctor attaches"
        with redis.Redis.from_url(server.url) as store:
            told = {name: str(value) for name, value in store.info("persistence").items()}
        metrics = (await service.admin("GET", "/metrics")).text
        place.free(server)

        async def taken() -> bool:
            return (await site.ask("after")).is_success

        await wait_until_async(taken, what="writes again")
        answered = [answer for answer in (*before, *meeting, *during) if answer.is_success]

    assert all(map(refused, [*during, beating, ready]))
    assert all(answer.is_success or refused(answer) for answer in meeting)
    assert known["basis"] == "live"
    assert log_of_writes(told).level is Level.BAD
    assert "dni_redis_writes_well 0.0" in metrics
    kill(server)
    await all_kept(server, site.key, answered)


async def test_a_server_that_writes_before_it_answers_ends_and_forgets_nothing(
    disk: tuple[Disk, EmbeddedServer],
) -> None:
    """With `appendfsync always` it would rather end than answer what is not on the disk."""
    place, server = disk
    with redis.Redis.from_url(server.url) as store:
        store.config_set("appendfsync", "always")
    async with serving(server.url) as service:
        site = await service.pool(*fictional(2 * VISITORS))
        before = await views(site, "before")
        place.fill(server)

        meeting = await views(site, "meeting")

        assert all(map(refused, meeting))
        place.free(server)

    await all_kept(server, site.key, before)


async def all_kept(server: EmbeddedServer, key: str, answered: list[httpx.Response]) -> None:
    """Start the server again on its data: every visitor still has what they were answered."""
    await asyncio.to_thread(server.stop)
    with EmbeddedServer.start(server.socket_path.parents[1]) as again:
        async with serving(again.url) as service:
            for answer in answered:
                visitor = answer.json()["visitor_id"]
                body = {"key": key, "visitor_id": visitor, "page_id": "page"}
                row = (await service.tag("/assign", body)).json()["numbers"][0]
                assert row["number"] == answer.json()["numbers"][0]["number"]
                assert row["reason"] == "renewed"
        with redis.Redis.from_url(again.url) as store:
            invariants.check(store)
