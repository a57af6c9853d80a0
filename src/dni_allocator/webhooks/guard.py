"""Which addresses a webhook may reach: the guard against server-side request forgery.

Owns the address rule and the dialling. Names are resolved here and the vetted address itself is
dialled, so nothing can change between the check and the connection; TLS still checks the name.
Knows nothing of events, signatures or HTTP.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpcore
from httpcore import SOCKET_OPTION

from dni_allocator.domain.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PUBLIC_TLS_PORTS: Final = frozenset({443, 8443})

# What `is_global` of the standard library lets through though it is not the open internet, and
# what it only learned in later versions. From the registries of IANA (special-purpose addresses).
_REFUSED: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # the platform service inside Azure
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
        "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


class AddressRefused(httpcore.ConnectError):
    """A name or address that webhooks must not reach. The text names no address."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read `DNI_WEBHOOK_ALLOW`: subnets, comma separated, such as `10.1.0.0/16,fd00:1::/64`.

    Raises:
        ConfigurationError: One of them is no subnet.
    """
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigurationError(f"DNI_WEBHOOK_ALLOW: {error}") from error


def may_reach(
    address: Address, *, port: int, encrypted: bool, allowed: Iterable[Network] = ()
) -> bool:
    """The rule: allow-listed subnets, any port, plain or TLS; else the open internet with TLS.

    An IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`) is judged as what it is.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return True
    if not encrypted or port not in PUBLIC_TLS_PORTS:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _REFUSED)
    )


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials for httpcore, to addresses that `may_reach` lets through and to no others.

    A name of which any address is refused is refused as a whole: a mixture is no accident.
    """

    def __init__(self, *, encrypted: bool, allowed: tuple[Network, ...] = ()) -> None:
        self._encrypted = encrypted
        self._allowed = allowed
        self._dialler = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, vet, dial; the addresses of a name one after the other, within `timeout` each.

        Raises:
            AddressRefused: One of its addresses is out of bounds; nothing was dialled.
            httpcore.ConnectError: No such name, or nobody answers.
            httpcore.ConnectTimeout: Resolving or dialling took too long.
        """
        addresses = await self._resolve(host, port, timeout_s=timeout)
        for address in addresses:
            if not may_reach(address, port=port, encrypted=self._encrypted, allowed=self._allowed):
                raise AddressRefused("the address is not one that webhooks may reach")
        last: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses:
            try:
                return await self._dialler.connect_tcp(
                    str(address),
                    port,
                    timeout=timeout,
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last if last is not None else httpcore.ConnectError("the name has no address")

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 -- httpcore's interface
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 -- as above
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002 -- as above
    ) -> httpcore.AsyncNetworkStream:
        """Refused: a URL cannot name a socket file, so nobody has asked for this."""
        raise AddressRefused("webhooks do not go to socket files")

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore asks for it between its own attempts, of which we make none."""
        await self._dialler.sleep(seconds)

    async def _resolve(self, host: str, port: int, *, timeout_s: float | None) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        # Keeps the order of the resolver, each address once; a zone (`%eth0`) stays and is refused.
        return list(dict.fromkeys(ip_address(info[4][0]) for info in found))
