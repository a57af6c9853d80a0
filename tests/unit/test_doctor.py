"""What the doctor makes of what a server says."""

from collections.abc import Mapping

import pytest

from dni_allocator.services import doctor
from dni_allocator.services.doctor import Finding, Level

GB = str(2**30)


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        (doctor.clock(200), Level.OK, "0.2 s ahead"),
        (doctor.clock(-1500), Level.WARN, "1.5 s behind"),
        (doctor.clock(31_000), Level.BAD, "Signatures fail"),
        (doctor.clock(-31_000), Level.BAD, "Signatures fail"),
        (doctor.layout({}, shards=8), Level.OK, "No data"),
        (doctor.layout({"schema": "1", "shards": "8"}, shards=8), Level.OK, "8 shards"),
        (doctor.layout({"schema": "1", "shards": "4"}, shards=8), Level.BAD, "DNI_SHARDS says 8"),
        (doctor.layout({"schema": "9", "shards": "8"}, shards=8), Level.BAD, "schema 1"),
        (doctor.forwarders(1, active=2, disabled=0), Level.OK, "1 live, 2 endpoints."),
        (doctor.forwarders(1, active=1, disabled=1), Level.WARN, "1 disabled"),
        (doctor.forwarders(0, active=1, disabled=0), Level.BAD, "Nobody delivers"),
        (doctor.forwarders(0, active=0, disabled=0), Level.OK, "0 endpoints"),
        (doctor.lag(0), Level.OK, "No event waits"),
        (doctor.lag(20_000), Level.OK, "20 s"),
        (doctor.lag(301_000), Level.WARN, "301 s"),
        (doctor.lag(3_601_000), Level.BAD, "3601 s"),
        (doctor.outbox(1, cap_bytes=2**21, lost=0), Level.OK, "0 of 2 MB"),
        (doctor.outbox(2**20 + 1, cap_bytes=2**21, lost=0), Level.WARN, "1 of 2 MB"),
        (doctor.outbox(1, cap_bytes=2**21, lost=7), Level.WARN, "7 events"),
        (doctor.outbox(2**21, cap_bytes=2**21, lost=0), Level.BAD, "being dropped"),
    ],
)
def test_of_the_system(found: Finding, level: Level, said: str) -> None:
    """Each finding has a level and says what follows from it."""
    assert found.level is level
    assert said in found.detail


@pytest.mark.parametrize(
    ("info", "level", "said"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "9.0.1"}, Level.OK, "Valkey 9.0.1"),
        ({"redis_version": "6.2.0"}, Level.OK, "Redis 6.2.0"),
        ({"redis_version": "6.0.16"}, Level.BAD, "oldest"),
        ({}, Level.BAD, "oldest"),
    ],
)
def test_of_the_version(info: Mapping[str, str], level: Level, said: str) -> None:
    """Valkey says which Redis it is like."""
    assert doctor.version(info).level is level
    assert said in doctor.version(info).detail


@pytest.mark.parametrize(
    ("info", "settings", "level"),
    [
        ({"aof_enabled": "1"}, {"appendfsync": "everysec"}, Level.OK),
        ({"aof_enabled": "1"}, {"appendfsync": None}, Level.OK),
        ({"aof_enabled": "1"}, {"appendfsync": "no"}, Level.WARN),
        ({"aof_enabled": "0"}, {"save": "3600 1"}, Level.WARN),
        ({"aof_enabled": "0"}, {"save": ""}, Level.BAD),
        ({"aof_enabled": "0"}, {}, Level.BAD),
    ],
)
def test_of_persistence(
    info: Mapping[str, str], settings: Mapping[str, str | None], level: Level
) -> None:
    """A log of writes is what it takes; where settings may not be asked for, the log counts."""
    assert doctor.persistence(info, settings).level is level


@pytest.mark.parametrize(
    ("info", "level"),
    [
        ({"aof_last_write_status": "ok"}, Level.OK),
        ({"aof_last_write_status": "err"}, Level.BAD),
        ({"rdb_last_bgsave_status": "err"}, Level.BAD),
        ({"loading": "1"}, Level.WARN),
    ],
)
def test_of_the_disk(info: Mapping[str, str], level: Level) -> None:
    """A full disk shows here first."""
    assert doctor.log_of_writes(info).level is level


@pytest.mark.parametrize(
    ("info", "level"),
    [
        ({"maxmemory_policy": "noeviction", "maxmemory": GB}, Level.OK),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, Level.WARN),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": GB}, Level.BAD),
    ],
)
def test_of_eviction(info: Mapping[str, str], level: Level) -> None:
    """It bites once memory is limited."""
    assert doctor.eviction(info).level is level


@pytest.mark.parametrize(
    ("share", "level"), [(0.5, Level.OK), (0.8, Level.WARN), (0.95, Level.BAD)]
)
@pytest.mark.parametrize("room", ["maxmemory", "total_system_memory"])
def test_of_memory(room: str, share: float, level: Level) -> None:
    """Of its limit, or, where there is none, of the machine."""
    info = {"used_memory": str(int(2**30 * share)), room: GB}

    assert doctor.memory(info).level is level


@pytest.mark.parametrize(
    ("info", "least", "level"),
    [
        ({"role": "master", "connected_slaves": "0"}, "0", Level.WARN),
        ({"role": "master", "connected_slaves": "2"}, "0", Level.WARN),
        ({"role": "master", "connected_slaves": "2"}, "1", Level.OK),
        ({"role": "master", "connected_slaves": "2"}, None, Level.OK),
        ({"role": "slave"}, "0", Level.BAD),
    ],
)
def test_of_replicas(info: Mapping[str, str], least: str | None, level: Level) -> None:
    """Nobody else has the data, or a primary may go on alone."""
    assert doctor.replicas(info, {"min-replicas-to-write": least}).level is level
