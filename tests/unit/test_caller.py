"""What the edge reads from headers, and whose address it believes."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.api.caller import (
    LONGEST_CHAIN,
    Caller,
    TrustedProxies,
    address_of,
    caller_of,
    declared_length,
)
from dni_allocator.domain.errors import ConfigurationError

CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/131.0.0.0 Safari/537.36"
)
PROXIES = TrustedProxies.parse("127.0.0.1, ::1, 10.0.0.0/8, fd00:1::/32")
PROXY = ("10.0.0.1", 443)


def test_one_pass_reads_what_the_edge_needs() -> None:
    """A browser's call by way of a proxy, among headers that nobody reads."""
    caller = caller_of(
        [
            (b"host", b"dni.example"),
            (b"content-length", b"412"),
            (b"user-agent", CHROME),
            (b"accept", b"*/*"),
            (b"origin", b"https://shop.example"),
            (b"x-forwarded-for", b"203.0.113.7"),
        ]
    )

    assert caller == Caller("https://shop.example", False, False, b"203.0.113.7")  # noqa: FBT003 -- a record, field by field
    assert isinstance(caller, Caller)


def test_a_call_without_headers_is_a_person_without_origin() -> None:
    """A backend that sends nothing is served: it asks for a visitor."""
    assert caller_of([]) == Caller(None, False, False, None)  # noqa: FBT003 -- a record, field by field


@pytest.mark.parametrize(
    "value", [b"", b"x", b"-1", b"1.5", b"0x10", b"1_0", "²".encode("latin-1")]
)
def test_a_length_that_is_no_number_is_none(value: bytes) -> None:
    """The body is counted while it is read, so a wrong header gains nothing."""
    assert declared_length({b"content-length": value}) == 0


def test_a_length_of_thousands_of_digits_is_just_large() -> None:
    """Python refuses to read such a number; that must not become an error of ours."""
    assert declared_length({b"content-length": b"9" * 5_000}) > 10**15


def test_a_robot_is_known_by_its_user_agent() -> None:
    """The answer is remembered by the raw header; the second call takes it from there."""
    for _ in range(2):
        assert caller_of([(b"user-agent", b"Googlebot/2.1")]).robot
        assert not caller_of([(b"user-agent", CHROME)]).robot
        assert not caller_of([(b"user-agent", b"")]).robot


def test_user_agents_of_any_bytes_are_read() -> None:
    """Headers are bytes; what they mean is the sender's business."""
    assert not caller_of([(b"user-agent", CHROME + bytes(range(128, 256)))]).robot
    assert caller_of([(b"user-agent", b"\xff\xfe Googlebot " + b"\xff" * 60_000)]).robot


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"sec-purpose", b"prefetch;prerender"),
        (b"purpose", b"prefetch"),
        (b"x-purpose", b"preview"),
        (b"x-moz", b"prefetch"),
    ],
)
def test_a_page_loaded_in_advance_is_known_by_any_of_four_headers(
    name: bytes, value: bytes
) -> None:
    """One of them is enough, whatever the others say."""
    assert caller_of([(name, value)]).prefetch
    assert caller_of([(name, value), (b"purpose", b"other")]).prefetch
    assert not caller_of([(name, b"other")]).prefetch


def test_several_headers_of_one_name_are_one_chain() -> None:
    """Proxies may append a line instead of an entry; the order is what counts."""
    caller = caller_of([(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"10.0.0.9")])

    assert caller.forwarded == b"198.51.100.1,10.0.0.9"
    assert address_of(PROXY, caller.forwarded, PROXIES) == "198.51.100.0/24"


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("::5", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/dni.sock", ""),
        ("testclient", ""),
        ("", ""),
    ],
)
def test_a_peer_is_known_by_its_network(host: str, network: str) -> None:
    """A household or a small office, not a person: the rest of the address is not kept."""
    assert address_of((host, 1234), None, PROXIES) == network


def test_a_socket_without_address_is_nobody() -> None:
    """A Unix socket has no peer; without a proxy to believe there is nothing to know."""
    assert address_of(None, None, PROXIES) == ""
    assert address_of(None, b"203.0.113.7", PROXIES) == ""
    assert address_of(None, b"203.0.113.7", TrustedProxies.parse("*")) == "203.0.113.0/24"


@pytest.mark.parametrize(
    "peer", ["198.51.100.9", "::ffff:198.51.100.9", "11.0.0.1", "9.255.255.255"]
)
def test_strangers_cannot_choose_their_address(peer: str) -> None:
    """The header is only as good as the peer who wrote it."""
    seen = address_of((peer, 1), b"203.0.113.7", PROXIES)

    assert seen == address_of((peer, 1), None, PROXIES) != ""


@pytest.mark.parametrize(
    ("chain", "network"),
    [
        (b"203.0.113.7", "203.0.113.0/24"),
        (b"192.0.2.66, 203.0.113.7", "203.0.113.0/24"),  # the left one is the visitor's invention
        (b"127.0.0.1, 203.0.113.7", "203.0.113.0/24"),
        (b"203.0.113.7, 10.0.0.2,10.1.2.3 ", "203.0.113.0/24"),
        (b"192.0.2.66, 203.0.113.7, fd00:1::5, ::1", "203.0.113.0/24"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.0/24"),  # all ours: the leftmost
        (b"203.0.113.7:51234", "203.0.113.0/24"),
        (b"203.0.113.7, 10.0.0.2:80", "203.0.113.0/24"),
        (b"[2001:db8::7]:51234", "2001:db8::/64"),
        (b"[2001:db8::7], [fd00:1::5]:8080", "2001:db8::/64"),
        (b"2001:db8::7", "2001:db8::/64"),
        (b"::ffff:203.0.113.7, ::ffff:10.0.0.2", "203.0.113.0/24"),
        (b"203.0.113.7, , ", "203.0.113.0/24"),
        (b"", "10.0.0.0/24"),
        (b" , ", "10.0.0.0/24"),
        (b"203.0.113.7, unknown", ""),
        (b"203.0.113.7, [::1", "203.0.113.0/24"),
        (b"203.0.113.256", ""),
        (b"\xff\x00", ""),
        (b"9" * 10_000, ""),
    ],
)
def test_the_first_from_the_right_that_is_no_proxy_is_the_visitor(
    chain: bytes, network: str
) -> None:
    """Every proxy appends whom it saw; what stands left of the first stranger is hearsay."""
    assert address_of(PROXY, chain, PROXIES) == network


def test_with_all_proxies_trusted_the_leftmost_is_the_visitor() -> None:
    """As uvicorn reads `*`: for a network that only the outermost proxy can be reached in."""
    everyone = TrustedProxies.parse(" * ")

    assert address_of(PROXY, b"203.0.113.7, 198.51.100.1", everyone) == "203.0.113.0/24"
    assert address_of(PROXY, b"unknown, 198.51.100.1", everyone) == ""
    assert address_of(PROXY, None, everyone) == "10.0.0.0/24"


def test_a_chain_longer_than_any_real_one_is_not_followed() -> None:
    """Otherwise a visitor could make us look up thousands of addresses with one header."""
    ours = b",10.0.0.2"

    assert address_of(PROXY, b"203.0.113.7" + ours * LONGEST_CHAIN, PROXIES) == "203.0.113.0/24"
    assert address_of(PROXY, b"203.0.113.7" + ours * (LONGEST_CHAIN + 1), PROXIES) == ""


def test_without_proxies_only_the_peer_counts() -> None:
    """An empty setting believes nobody."""
    nobody = TrustedProxies.parse("")

    assert address_of(("127.0.0.1", 1), b"203.0.113.7", nobody) == "127.0.0.0/24"


@pytest.mark.parametrize("text", ["nginx", "10.0.0.1/8", "127.0.0.1;::1", "*, 10.0.0.1", "[::1]"])
def test_a_mistake_in_the_list_of_proxies_stops_the_start(text: str) -> None:
    """Else nothing would match, and all visitors would share the address of the proxy."""
    with pytest.raises(ConfigurationError, match="DNI_FORWARDED_ALLOW_IPS"):
        TrustedProxies.parse(text)


@given(st.ip_addresses(), st.lists(st.ip_addresses(network="10.0.0.0/8"), max_size=5))
def test_a_visitor_is_found_behind_any_number_of_our_proxies(
    visitor: object, ours: list[object]
) -> None:
    """And what is said of them is a network that they are in."""
    address = ip_address(str(visitor))
    if getattr(address, "ipv4_mapped", None) or PROXIES.trusts(address):
        return
    chain = ", ".join(map(str, ["192.0.2.1", visitor, *ours])).encode()

    assert address in ip_network(address_of(PROXY, chain, PROXIES))


@given(st.binary(max_size=200), st.text(max_size=80))
def test_no_header_raises(value: bytes, peer: str) -> None:
    """Anybody may send anything."""
    names = [b"origin", b"content-length", b"user-agent", b"x-forwarded-for", b"sec-purpose"]
    caller = caller_of([(name, value) for name in names])

    for proxies in (PROXIES, TrustedProxies.parse("*")):
        assert isinstance(address_of(PROXY, caller.forwarded, proxies), str)
        assert isinstance(address_of((peer, 0), caller.forwarded, proxies), str)
