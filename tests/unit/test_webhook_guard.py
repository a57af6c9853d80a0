"""Which addresses webhooks may reach."""

import asyncio
import socket
from ipaddress import ip_address

import httpcore
import pytest

from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.webhooks.guard import AddressRefused, GuardedBackend, may_reach, parse_networks

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.8.8.8",  # noqa: S104 -- to be refused, not bound
    "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.254", "198.51.100.7", "203.0.113.7", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%1", "fec0::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "8.8.8.8", "100.63.255.254", "172.32.0.1", "192.88.98.1", "2606:4700::1111"]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_the_open_internet_is_refused(address: str) -> None:
    """Internal, reserved, multicast and translated addresses: none is a customer's receiver."""
    assert not may_reach(ip_address(address), port=443, encrypted=True)


@pytest.mark.parametrize("address", [*OUTSIDE, "::ffff:8.8.8.8"])
@pytest.mark.parametrize("port", [443, 8443])
def test_the_open_internet_is_reached_with_tls(address: str, port: int) -> None:
    """The neighbours of refused ranges are not refused with them."""
    assert may_reach(ip_address(address), port=port, encrypted=True)


@pytest.mark.parametrize(("port", "encrypted"), [(80, False), (443, False), (25, True), (22, True)])
def test_the_open_internet_is_reached_in_no_other_way(port: int, encrypted: bool) -> None:  # noqa: FBT001 -- a column of the table
    """No plain text, and no ports where something other than a web server may listen."""
    assert not may_reach(ip_address("8.8.8.8"), port=port, encrypted=encrypted)


def test_allow_listed_subnets_are_reached_in_any_way() -> None:
    """Self-hosters name the subnets of their own receivers."""
    allowed = parse_networks(" 10.1.0.0/16, fd00:1::/64 ,")

    assert may_reach(ip_address("10.1.2.3"), port=8080, encrypted=False, allowed=allowed)
    assert may_reach(ip_address("::ffff:10.1.2.3"), port=80, encrypted=False, allowed=allowed)
    assert may_reach(ip_address("fd00:1::5"), port=9000, encrypted=False, allowed=allowed)
    assert not may_reach(ip_address("10.2.0.1"), port=443, encrypted=True, allowed=allowed)


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "10.0.0.0/40", "10.0.0.0/8;::1"])
def test_an_allow_list_with_a_mistake_stops_the_start(text: str) -> None:
    """A typing mistake must not silently open, or close, anything."""
    with pytest.raises(ConfigurationError, match="DNI_WEBHOOK_ALLOW"):
        parse_networks(text)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0", "::1"],
)
async def test_the_address_behind_a_name_is_what_counts(host: str) -> None:
    """However loopback is spelt, nothing is dialled: the listener hears of nobody."""
    heard: list[object] = []
    server = await asyncio.start_server(lambda *_: heard.append(1), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = GuardedBackend(encrypted=True)

    with pytest.raises(AddressRefused):
        await backend.connect_tcp(host, port, timeout=5)

    server.close()
    await server.wait_closed()
    assert heard == []


async def test_one_refused_address_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an outside and an inside address is a trick, whichever comes first."""

    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)

    with pytest.raises(AddressRefused):
        await GuardedBackend(encrypted=True).connect_tcp("mixed.example", 443, timeout=5)


async def test_an_unknown_name_is_a_connection_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's own error would pass through httpcore unseen as what it is."""

    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)

    with pytest.raises(httpcore.ConnectError):
        await GuardedBackend(encrypted=True).connect_tcp("unknown.example", 443, timeout=5)


async def test_a_socket_file_is_refused() -> None:
    """Nothing asks for one; if something ever does, it gets no server of this machine."""
    with pytest.raises(AddressRefused):
        await GuardedBackend(encrypted=False).connect_unix_socket("redis.sock")
