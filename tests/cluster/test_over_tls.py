"""A cluster that is reached by TLS only: the shared connections are encrypted like all others.

The embedded server speaks no TLS, so each connection to the node goes through an end of TLS in this
process, which is also the address that the node tells its clients.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.store.connection import Connection
from tests.support.cluster import LOOPBACK, SLOTS, Node, free_ports
from tests.support.waiting import wait_until


def certificate(room: Path) -> Path:
    """A certificate of its own for this machine, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), False)  # noqa: FBT003 -- not critical
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = room / "tests.pem"
    path.write_bytes(text)
    return path


@contextmanager
def node_behind(port: int, room: Path) -> Iterator[Node]:
    """A cluster of one node, which tells its clients this port."""
    own, bus = free_ports(2)
    options = {
        "port": str(own), "cluster-port": str(bus), "bind": LOOPBACK, "save": '""',
        "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
        "cluster-announce-ip": LOOPBACK, "cluster-announce-port": str(port),
        "cluster-announce-bus-port": str(bus),
    }  # fmt: skip
    node = Node(own, room, options)
    try:
        node.start()
        node.ask("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        wait_until(lambda: "cluster_state:ok" in str(node.ask("CLUSTER", "INFO")))
        yield node
    finally:
        node.kill()


@asynccontextmanager
async def end_of_tls(port: int, target: int, pem: Path) -> AsyncIterator[list[str]]:
    """Takes TLS on a port, and passes on what is in it; the versions of those that came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    came: list[str] = []
    under_way: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(str(writer.get_extra_info("ssl_object").version()))
        inner = await asyncio.open_connection(LOOPBACK, target)
        for each in ((reader, inner[1]), (inner[0], writer)):
            task = asyncio.create_task(pass_on(*each))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async with await asyncio.start_server(serve, LOOPBACK, port, ssl=context):
        yield came
        await asyncio.gather(*under_way)


async def test_shared_connections_are_encrypted(tmp_path: Path) -> None:
    """By the scheme of the address, for every node that the cluster tells of."""
    (port,) = free_ports(1)
    pem = certificate(tmp_path)
    with node_behind(port, tmp_path / "node") as node:
        async with end_of_tls(port, node.port, pem) as came:
            url = f"rediss+cluster://{LOOPBACK}:{port}?ssl_ca_certs={pem}"
            async with Connection(url, timeout_s=5) as connection:
                await connection.execute("SET", "key", "kept")
                before = len(came)

                replies = await asyncio.gather(
                    *(connection.pipelined("GET", "key") for _ in range(100))
                )

            assert set(replies) == {b"kept"}
            assert len(came) == before + 1
            assert set(came) == {"TLSv1.3"}


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """Encrypted to whom, is the question."""
    (port,) = free_ports(1)
    with node_behind(port, tmp_path / "node") as node:
        async with (
            end_of_tls(port, node.port, certificate(tmp_path)),
            Connection(f"rediss+cluster://{LOOPBACK}:{port}", timeout_s=5) as connection,
        ):
            with pytest.raises(StoreUnavailable):
                await connection.pipelined("GET", "key")
