"""`dni-allocator doctor`, as an operator runs it beside a service."""

import json
import subprocess

import redis

from dni_allocator.store.connection import Connection
from dni_allocator.store.keys import FORWARDERS, ShardKeys
from dni_allocator.store.outbox import Presence
from tests.http.test_backup import run
from tests.support.rig import fictional
from tests.support.service import Service


def findings(told: "subprocess.CompletedProcess[str]") -> dict[str, tuple[str, str]]:
    """Level and sentence of each finding, by name."""
    assert told.returncode in {0, 1}, told.stderr
    answer = json.loads(told.stdout)
    assert answer["ok"] is (told.returncode == 0)
    return {each["name"]: (each["level"], each["detail"]) for each in answer["findings"]}


async def test_a_system_is_looked_over(service: Service) -> None:
    """Everything is looked at, on a real server; nothing is written."""
    pool = await service.pool(*fictional(3))
    await pool.number("ann")
    before = service.contents()

    found = findings(run(service.redis_url, "doctor", "--json"))

    assert set(found) == {
        "clock", "layout", "version", "persistence", "disk", "eviction", "memory", "replicas",
        "lifetimes", "forwarders", "lag", "outbox", "erasures",
    }  # fmt: skip
    assert found["layout"] == ("ok", "Schema 1, 4 shards.")
    assert found["eviction"][0] == found["disk"][0] == found["clock"][0] == "ok"
    assert found["lifetimes"][0] == found["lag"][0] == "ok"
    assert found["replicas"][0] == "warn"
    assert service.contents() == before


async def test_what_is_bad_ends_with_status_1(service: Service) -> None:
    """Nobody delivers, a key that never ends, data of another number of shards."""
    pool = await service.pool(*fictional(1))
    await pool.number("ann")
    await service.admin("POST", "/webhooks", {"url": "https://a.example/"})
    with redis.Redis.from_url(service.redis_url) as client:
        (name,) = client.keys("dni:{s*}:pool_*:v:ann")
        ttl = client.pttl(name)
        client.persist(name)

        told = run(service.redis_url, "doctor", "--json", shards=5)

        client.pexpire(name, ttl)
    found = findings(told)
    assert told.returncode == 1
    assert found["forwarders"] == ("bad", "0 live, 1 endpoints. Nobody delivers: start one.")
    assert found["lifetimes"][0] == "bad"
    assert "1 v" in found["lifetimes"][1]
    assert "ann" not in told.stdout
    assert found["layout"][0] == "bad"


async def test_a_forwarder_that_lives_is_seen(service: Service) -> None:
    """One that fell silent is not: it would hide that nobody delivers."""
    await service.admin("POST", "/webhooks", {"url": "https://a.example/"})
    async with Connection(service.redis_url) as connection:
        await Presence(connection.execute).announce("fwd", ttl_ms=10_000)
        living = findings(run(service.redis_url, "doctor", "--json"))
        await connection.execute("ZINCRBY", FORWARDERS, -60_000, "fwd")

        silent = findings(run(service.redis_url, "doctor", "--json"))

    assert living["forwarders"] == ("ok", "1 live, 1 endpoints.")
    assert silent["forwarders"][0] == "bad"


def test_people_read_lines(redis_url: str) -> None:
    """A mark, a name, a sentence; also of a system that has no data yet."""
    told = run(redis_url, "doctor")

    lines = told.stdout.splitlines()
    assert any(line.startswith("ok    layout") and "No data yet" in line for line in lines)
    assert all(line[:4] in {"ok  ", "warn", "BAD "} for line in lines)


def test_a_store_that_is_away_is_said_so() -> None:
    """Status 2 and one sentence, no stack."""
    told = run("redis://127.0.0.1:1", "doctor")

    assert told.returncode == 2
    assert "dni-allocator: The store" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_erasure_that_does_not_end_is_told(redis_url: str) -> None:
    """One that has just begun is none: its process is at it."""
    with redis.Redis.from_url(redis_url) as client:
        seconds, _ = client.time()
        erasing = ShardKeys(0).erasing
        client.hset(erasing, "ann", (seconds - 60) * 1000)
        client.expire(erasing, 3600)
        young = findings(run(redis_url, "doctor", "--json"))
        client.hset(erasing, "bob", (seconds - 900) * 1000)

        old = findings(run(redis_url, "doctor", "--json"))

    assert young["erasures"] == ("ok", "None is left unfinished.")
    assert old["erasures"] == ("warn", "1 began and do not end: see the log.")
