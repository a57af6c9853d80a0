"""Tricks to reach the inside through a webhook, each through the real transport."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from dni_allocator.webhooks.transport import HttpTransport
from tests.support.receiver import Receiver, receiving

NAMES = {
    "inside.example": ["10.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "both.example": ["8.8.8.8", "127.0.0.1"],
    "six.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
}
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing gets so far as to need an authority."""

TRICKS = [
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://0/",
    "https://0.0.0.0/", "https://localhost/", "https://localhost./", "https://LOCALHOST/",
    "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[fe80::1]/",
    "https://[fd00::1]/", "https://169.254.169.254/latest/meta-data/", "https://168.63.129.16/",
    "https://100.100.100.200/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.0.1/",
    "https://224.0.0.1/", "https://255.255.255.255/", "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/", "https://example.com@127.0.0.1/", "https://127.0.0.1#@example.com/",
    "https://127.0.0.1:8443/", "http://8.8.8.8/", "https://8.8.8.8:6379/", "http://127.0.0.1/",
    "https://inside.example/", "https://metadata.example/", "https://both.example/",
    "https://six.example/", "https://nat64.example/", "unix:///tmp/x", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x", "https:///nowhere", "https://", "//127.0.0.1/",
]  # fmt: skip


@pytest.fixture
async def listener() -> AsyncIterator[Receiver]:
    """Somebody inside who must never hear of us."""
    async with receiving() as listening:
        yield listening


@pytest.fixture(autouse=True)
def _fictional_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under somebody else's control that point inside; literals resolve as ever."""
    real = socket.getaddrinfo

    def resolve(host: bytes | str, port: int, *args: object, **options: object) -> object:
        known = NAMES.get(host if isinstance(host, str) else host.decode())
        if known is None:
            return real(host, port, *args, **options)  # type: ignore[arg-type]  # passed through
        families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in known]
        return [
            (family, socket.SOCK_STREAM, 6, "", (one, port))
            for family, one in zip(families, known, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("url", TRICKS)
async def test_no_trick_leads_inside(url: str, listener: Receiver) -> None:
    """However an address is spelt, wrapped or resolved: nothing is dialled, and no reason leaks."""
    dialled: list[object] = []

    async def dial(*args: object, **_: object) -> None:
        dialled.append(args)
        raise OSError

    async with HttpTransport(tls=TLS) as transport:
        for backend in transport._backends.values():  # noqa: SLF001 -- to see what would be dialled
            backend._dialler.connect_tcp = dial  # type: ignore[assignment, method-assign]  # noqa: SLF001 -- as above
        answer = await transport.send(url, headers={}, body=b"{}")

    assert answer.status is None
    assert answer.failure in {"refused", "url", "connection"}
    assert dialled == []
    assert listener.connections == 0


async def test_a_name_that_changes_its_mind_is_dialled_as_it_was_vetted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebinding: the second look would say 127.0.0.1, but there is no second look."""
    looks: list[str] = []
    dialled: list[object] = []

    async def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        looks.append(host)
        address = "8.8.8.8" if len(looks) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    async def dial(host: str, *_: object, **__: object) -> None:
        dialled.append(host)
        raise OSError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with HttpTransport(tls=TLS) as transport:
        for backend in transport._backends.values():  # noqa: SLF001 -- to see what is dialled
            backend._dialler.connect_tcp = dial  # type: ignore[assignment, method-assign]  # noqa: SLF001 -- as above
        await transport.send("https://rebinding.example/", headers={}, body=b"{}")

    assert len(looks) == 1
    assert dialled == ["8.8.8.8"]
