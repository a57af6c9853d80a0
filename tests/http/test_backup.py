"""Export and import: a system restored elsewhere answers as the one it was copied from."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import redis

from dni_allocator.app import App
from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.services.backup import Backup, Restored
from dni_allocator.settings import Settings
from dni_allocator.store.copying import Home, Place, names_somebody, place_of
from tests.support import invariants
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, Json, Service, Site, serving

NUMBERS = fictional(6)
SHARED, CALLER = "+18005550100", "+14155550177"
ANN, BOB = "Ann-0123456789abcdefABCD", "Bob-0123456789abcdefABCD"
TOLD = {"url": "https://shop.example/?email=private", "fields": {"gclid": "private"}}


@pytest.fixture
async def elsewhere(redis_url: str) -> AsyncIterator[str]:
    """An empty store beside that of the service."""
    url = f"{redis_url}?db=1"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


async def a_life(service: Service) -> list[Site]:
    """Pools with visitors present, gone and forgotten; calls, keys, a site, an endpoint."""
    first = await service.pool(*NUMBERS[:3], overflow_numbers=[SHARED], match="area")
    second = await service.pool(*NUMBERS[3:], attribution_window_s=172_800)
    await first.view(ANN, url=TOLD["url"], fields=TOLD["fields"])
    number = await second.number(ANN, url=TOLD["url"], fields=TOLD["fields"])
    await service.admin("POST", "/calls", {"number": number, "caller": CALLER,
                                           "provider": "x", "provider_call_id": "1"})  # fmt: skip
    service.clock.advance(seconds=400)
    for visitor in (BOB, "cyd", "dan", "eve"):
        await first.number(visitor)
        await second.number(visitor)
    await service.admin("DELETE", f"/pools/{second.pool_id}/numbers/{NUMBERS[3]}?force=true")
    await service.admin("PUT", f"/pools/{first.pool_id}/numbers/{NUMBERS[0]}/quarantine",
                        {"reason": "loud"})  # fmt: skip
    await service.admin("POST", "/keys", {"name": "CRM", "scopes": ["read"]})
    await service.admin("POST", "/sites", {"name": "s", "pools": [first.pool_id, second.pool_id]})
    await service.admin("POST", "/webhooks", {"url": "https://a.example/"})
    return [first, second]


def copier(url: str, *, shards: int = 4) -> AbstractAsyncContextManager[Backup]:
    """Copies of a system, made beside its service."""
    return App(Settings.model_validate({"redis_url": url, "shards": shards})).copying()


async def lines_of(service: Service, *, personal_data: bool = True) -> list[bytes]:
    """The export of a running service."""
    async with copier(service.redis_url) as backup:
        return [line async for line in backup.export(personal_data=personal_data)]


async def restore(url: str, lines: list[bytes], *, shards: int = 4) -> Restored:
    """Import into an empty store."""
    async with copier(url, shards=shards) as backup:
        return await backup.restore(lines)


async def answers(service: Service, sites: list[Site]) -> dict[str, object]:
    """What an operator and a backend are told."""
    paths = ["/pools", "/sites", "/webhooks", "/keys", "/calls"]
    paths += [f"/pools/{site.pool_id}" for site in sites]
    times = [service.clock.iso(seconds_ago=ago) for ago in (0, 100, 399, 400)]
    paths += [
        f"/attribution/{number}?at={at}" for number in [*NUMBERS, SHARED] for at in times
    ]  # fmt: skip
    told: dict[str, object] = {path: (await service.admin("GET", path)).json() for path in paths}
    for site in sites:
        listed = (await service.admin("GET", f"/pools/{site.pool_id}/numbers")).json()["numbers"]
        told[site.pool_id] = sorted(listed, key=lambda each: str(each["number"]))
    return told


@pytest.mark.parametrize("shards", [4, 3, 1])
async def test_a_restored_system_answers_the_same(
    service: Service, elsewhere: str, shards: int
) -> None:
    """Attribution at every instant, calls, pools, numbers, keys, sites; over any shards."""
    sites = await a_life(service)
    lines = await lines_of(service)

    async with serving(elsewhere, clock=service.clock, more={"shards": shards}) as other:
        done = await restore(elsewhere, lines, shards=shards)

        assert await answers(other, sites) == await answers(service, sites)
        assert (done.pools, done.endpoints, done.admin_key_kept) == (2, 1, True)
        again = Site(other, pool_id=sites[0].pool_id, key=sites[0].key)
        assert (await again.heartbeat(BOB))["expires_in_s"]
        other.clock.advance(seconds=400)
        await other.app.sweeper().sweep_once()
        known = await other.admin("POST", "/calls", {"number": NUMBERS[4], "caller": CALLER})
        assert known.json()["first_time_caller"] is False
        with redis.Redis.from_url(elsewhere) as client:
            invariants.check(client)


async def test_without_personal_data_nobody_is_named(service: Service, elsewhere: str) -> None:
    """A copy for a test system: its numbers are all free, nobody is remembered."""
    sites = await a_life(service)

    lines = await lines_of(service, personal_data=False)

    text = b"".join(lines).decode()
    assert {each for each in (ANN, BOB, CALLER, "private") if each in text} == set()
    async with serving(elsewhere, clock=service.clock, more={"shards": 2}) as other:
        await restore(elsewhere, lines, shards=2)
        # The number that was called is held yet.
        service.clock.advance(seconds=400)
        await other.app.sweeper().sweep_once()
        restored = Site(other, pool_id=sites[1].pool_id, key=sites[1].key)
        shown = [await restored.number(f"v{at}") for at in range(2)]
        assert sorted(shown) == NUMBERS[4:]
        with redis.Redis.from_url(elsewhere) as client:
            invariants.check(client)


async def test_every_key_has_its_place(service: Service) -> None:
    """A key nobody thought of would be missing from every backup; here it fails."""
    await a_life(service)

    end = json.loads((await lines_of(service))[-1])

    assert end["left_out"] == []
    assert end["end"] > 25


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: lines[:-1], "cut short"),
        (lambda lines: [*lines[:3], lines[-1]], "cut short"),
        (lambda lines: lines[1:], "no export"),
        (lambda _: [], "no JSON"),
        (lambda lines: [lines[0], b"{broken"], "no JSON"),
        (lambda lines: [lines[0], b'{"home":"mars"}\n'], "no record"),
        (lambda lines: [lines[0].replace(b'"schema":"1"', b'"schema":"2"')], "schema"),
        (lambda lines: [lines[0].replace(b'export":1', b'export":2')], "newer"),
    ],
    ids=["no end", "a gap", "no head", "nothing", "broken", "nowhere", "schema", "newer"],
)
async def test_what_is_no_whole_export_is_refused(
    service: Service, elsewhere: str, spoil: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    """With a sentence; half a restore does not pass for one."""
    await service.pool(*NUMBERS)
    lines = await lines_of(service)

    with pytest.raises(ConfigurationError, match=said):
        await restore(elsewhere, spoil(lines))


async def test_many_numbers_do_not_flood_the_store(service: Service, elsewhere: str) -> None:
    """Each has a small key of its own; they go out in parts, not all at once."""
    numbers = [f"+1{area}2{at:06d}" for area in (212, 303, 415) for at in range(3_000)]
    pool = await service.pool(*numbers)

    done = await restore(elsewhere, await lines_of(service), shards=2)

    assert done.records < 200
    async with serving(elsewhere, clock=service.clock, more={"shards": 2}) as other:
        read = await other.admin("GET", f"/pools/{pool.pool_id}")
    assert read.json()["occupancy"]["free"] == len(numbers)


async def test_an_import_wants_an_empty_system(service: Service) -> None:
    """Nothing is merged, and nothing is written over."""
    await service.pool(*NUMBERS)
    lines, before = await lines_of(service), service.contents()

    with pytest.raises(ConfigurationError, match="empty system"):
        await restore(service.redis_url, lines)

    assert service.contents() == before


def run(url: str, *arguments: str, shards: int = 4) -> "subprocess.CompletedProcess[str]":
    """The command, as an operator runs it."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DNI_")}
    return subprocess.run(
        [sys.executable, "-m", "dni_allocator", *arguments],
        env=environment | {"DNI_REDIS_URL": url, "DNI_SHARDS": str(shards)},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_commands(service: Service, elsewhere: str, tmp_path: Path) -> None:
    """A file only its owner can read, into a system of other shards; its old admin key opens it."""
    pool = await service.pool(*NUMBERS)
    await pool.number(ANN)
    file = tmp_path / "copy.jsonl"

    exported = run(service.redis_url, "export", str(file))
    imported = run(elsewhere, "import", str(file), shards=2)
    again = run(elsewhere, "import", str(file), shards=2)

    assert exported.returncode == 0, exported.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Restored 1 pools" in imported.stderr
    assert (again.returncode, "empty system" in again.stderr) == (2, True)
    async with serving(elsewhere, clock=service.clock, more={"shards": 2}, admin_key=None) as other:
        listed: Json = (await other.admin("GET", "/pools")).json()
    assert ADMIN_KEY not in file.read_text()
    assert pool.pool_id in str(listed)


def test_every_documented_key_has_its_place() -> None:
    """Also those that a test run does not happen to write."""
    document = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")
    table = document[document.index("## Keys") : document.index("### Packed records")]
    documented = re.findall(r"^\| `(dni:[^`]+)`", table, re.MULTILINE)
    keys = [key.replace("<n>", "0").replace("<pool>", "pool_a") for key in documented]

    assert len(keys) > 40
    assert [key for key in keys if place_of(key).home is Home.UNKNOWN] == []


@pytest.mark.parametrize(
    ("key", "home", "names"),
    [
        ("dni:{s1}:pool_a:holders", Home.POOL, True),
        ("dni:{s1}:pool_a:free:any", Home.POOL, False),
        ("dni:{s1}:history:pool_a:m:1", Home.HISTORY, False),
        ("dni:{s1}:calls", Home.MEMBERS, True),
        ("dni:{s1}:purchases:open", Home.MEMBERS, False),
        ("dni:{s1}:fwd:whe_a:lock", Home.NOWHERE, False),
        ("dni:{s1}:brand-new", Home.UNKNOWN, False),
        ("dni:number:+16025550100", Home.GLOBAL, False),
        ("dni:call:abc", Home.GLOBAL, True),
        ("dni:session:abc", Home.NOWHERE, False),
    ],
)
def test_where_keys_belong(key: str, home: Home, *, names: bool) -> None:
    """By their names alone."""
    place: Place = place_of(key)

    assert place.home is home
    assert names_somebody(place) is names
