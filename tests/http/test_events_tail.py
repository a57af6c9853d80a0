"""`dni-allocator events tail`, as an operator runs it."""

import json
import os
import subprocess
import sys

import pytest

from dni_allocator.store.connection import Connection
from dni_allocator.store.migrating import check_layout
from tests.support.delivery import assigned, publish


def tail(redis_url: str, *options: str) -> list[str]:
    """What it prints of the events that are there."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DNI_")}
    command = [sys.executable, "-m", "dni_allocator", "events", "tail", "--oldest", "--no-follow"]
    return subprocess.run(
        [*command, *options],
        env=environment | {"DNI_REDIS_URL": redis_url, "DNI_SHARDS": "4"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


@pytest.fixture
async def sent(redis_url: str) -> list[str]:
    """Two events in the store of a service."""
    async with Connection(redis_url) as connection:
        await check_layout(connection.execute, shards=4)
        first = await publish(connection, [assigned("+14155550101")], shard=1)
        second = await publish(
            connection, [assigned("+14155550102") | {"t": "lease.ended"}], shard=2
        )
        return [*first, *second]


def test_a_line_for_each_event(redis_url: str, sent: list[str]) -> None:
    """When, what, which pool and number, who and why."""
    lines = tail(redis_url)

    assert len(lines) == len(sent)
    assert "number.assigned" in lines[0]
    assert "+14155550101" in lines[0]


def test_json_is_what_endpoints_get(redis_url: str, sent: list[str]) -> None:
    """For a pipe into another program; types can be chosen."""
    lines = tail(redis_url, "--json", "--type", "lease.ended")

    [event] = [json.loads(line) for line in lines]
    assert event["data"]["event_id"] == sent[1]
