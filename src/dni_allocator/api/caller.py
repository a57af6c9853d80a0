"""Who calls: what the tag-facing edge needs of the raw headers, and the visitor's network.

Owns which headers are read and which proxies are believed; decides nothing by them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple, Self

from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.domain.robots import LONGEST_USER_AGENT, is_prefetch, is_refused

Address = IPv4Address | IPv6Address

REMEMBERED: Final = 4096
"""User agents, and addresses, that are kept with what they turned out to be."""

LONGEST_CHAIN: Final = 32
"""Entries of `X-Forwarded-For` that are looked at, from the right: no call passes more proxies."""

_HINTS: Final = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})
"""Headers by which browsers say that they load a page in advance."""

_LONGEST_ADDRESS: Final = 64
_MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose `X-Forwarded-For` is believed, as uvicorn understands the same setting."""

    ranges: tuple[tuple[int, int, int], ...] = ()
    """IP version, first and last address as integers: `address in network` takes far longer."""
    everyone: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `DNI_FORWARDED_ALLOW_IPS`: addresses and subnets, comma separated, or `*`.

        Raises:
            ConfigurationError: One of them is neither. uvicorn takes it for a name, which never
                matches; then all visitors would seem to share the proxy's address.
        """
        if text.strip() == "*":
            return cls(everyone=True)
        try:
            networks = [ip_network(part.strip()) for part in text.split(",") if part.strip()]
        except ValueError as error:
            raise ConfigurationError(f"DNI_FORWARDED_ALLOW_IPS: {error}") from error
        return cls(tuple((each.version, int(each[0]), int(each[-1])) for each in networks))

    def trusts(self, address: Address | None) -> bool:
        """Whether this host is one of the proxies. None: a peer without address, a Unix socket."""
        if self.everyone or address is None:
            return self.everyone
        version, number = address.version, int(address)
        return any(of == version and first <= number <= last for of, first, last in self.ranges)


NO_PROXIES: Final = TrustedProxies()
"""For addresses that are told by somebody we believe, not by headers."""


class Caller(NamedTuple):
    """What the headers of one request say. A named tuple for the reason in `domain.lease`."""

    origin: str | None
    """The page's origin; None for a caller that is no browser."""
    robot: bool
    """The user agent is a robot's (`domain.robots`). None sent, or a library's: no robot."""
    prefetch: bool
    """The page is being loaded in advance; nobody looks at it yet."""
    forwarded: bytes | None
    """`X-Forwarded-For`, several of them joined: for `address_of`, which knows whom to believe."""
    client: tuple[str, int] | None = None
    """The peer, as the ASGI scope has it."""
    proxies: TrustedProxies = NO_PROXIES
    """Whose `X-Forwarded-For` is believed."""

    def network(self) -> str:
        """The network of the visitor, "" where it is not known; see `address_of`."""
        return address_of(self.client, self.forwarded, self.proxies)


def origin_of(found: Mapping[bytes, bytes]) -> str | None:
    """The page's origin; None for a caller that is no browser."""
    origin = found.get(b"origin")
    return None if origin is None else origin.decode("latin-1")


def declared_length(found: Mapping[bytes, bytes]) -> int:
    """The declared length of the body, bytes; 0 when none is declared, or no number is."""
    length = found.get(b"content-length", b"")
    return int(length[:_MOST_DIGITS]) if length.isdigit() else 0


def caller_of(
    headers: Sequence[tuple[bytes, bytes]],
    client: tuple[str, int] | None = None,
    proxies: TrustedProxies = NO_PROXIES,
    found: Mapping[bytes, bytes] | None = None,
) -> Caller:
    """Read the headers of an ASGI scope: names in lower case, as the specification has them.

    `found` are the same as a dictionary, where the caller has made one: every page view comes
    through here. `tuple.__new__` is what `Caller(...)` does, for half of its cost.
    """
    if found is None:
        found = dict(headers)
    origin = found.get(b"origin")
    user_agent = found.get(b"user-agent")
    forwarded = None
    if b"x-forwarded-for" in found:
        forwarded = b",".join([value for name, value in headers if name == b"x-forwarded-for"])
    return tuple.__new__(
        Caller,
        (
            None if origin is None else origin.decode("latin-1"),
            user_agent is not None and _is_robot(user_agent[:LONGEST_USER_AGENT]),
            # Written out: `isdisjoint` looks up every header that came.
            (
                b"sec-purpose" in found
                or b"purpose" in found
                or b"x-purpose" in found
                or b"x-moz" in found
            )
            and _is_loaded_in_advance(headers),
            forwarded,
            client,
            proxies,
        ),
    )


def _is_loaded_in_advance(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name in _HINTS and is_prefetch(value.decode("latin-1")) for name, value in headers)


@lru_cache(maxsize=REMEMBERED)
def _is_robot(user_agent: bytes) -> bool:
    return is_refused(user_agent.decode("latin-1"))


def address_of(
    client: tuple[str, int] | None, forwarded: bytes | None, trusted: TrustedProxies
) -> str:
    """The network of the visitor: `203.0.113.0/24`, or the /64 of an IPv6 address.

    `client` is the peer as the ASGI scope has it. Each proxy appends the peer it saw, so the chain
    is read from the right, and the first entry that is no trusted proxy is the visitor; are all
    of them trusted, the leftmost is. What stands further left anybody may have written.

    "" when it cannot be known: a Unix socket without proxy, or a trusted proxy that wrote
    something other than an address.
    """
    address = _parse(client[0]) if client else None
    if not forwarded or not trusted.trusts(address):
        return _network_of(address)
    text = forwarded.decode("latin-1")
    chain = text.split(",", 1)[:1] if trusted.everyone else text.rsplit(",", LONGEST_CHAIN)
    for entry in filter(None, map(str.strip, reversed(chain))):
        address = _parse(_host(entry))
        if not trusted.trusts(address):
            break
    return _network_of(address)


def _host(entry: str) -> str:
    """An entry without its port: `192.0.2.1:80`, `[2001:db8::1]:80`; or as it is."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    host, colon, port = entry.partition(":")
    return host if colon and ":" not in port else entry


def _parse(text: str) -> Address | None:
    return _remembered(text) if len(text) <= _LONGEST_ADDRESS else None


# Proxies are few and come with every call, and visitors come back.
@lru_cache(maxsize=REMEMBERED)
def _remembered(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _network_of(address: Address | None) -> str:
    if address is None:
        return ""
    if isinstance(address, IPv4Address):
        return f"{str(address).rpartition('.')[0]}.0/24"
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
