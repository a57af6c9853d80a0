"""One request to one endpoint: connections, time limits, what came back.

Built on the connections of httpcore, which httpx stands on: no redirects, cookies or proxies of the
environment to switch off, and dialling is a public hook (`webhooks.guard`). Idle connections are
kept here: the pool of httpcore looks at all of them for every request, which at 32 at once costs
more than the request. Knows nothing of events or of what an answer means.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import httpcore
import httpx

from dni_allocator.webhooks.guard import AddressRefused, GuardedBackend, Network

TIMEOUT_S: Final = 15.0
"""For the whole exchange, from resolving the name to the last byte of the answer."""

_KEEP_IDLE_S: Final = 30.0

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read; the connection is closed on those who send more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    `status` is None when nothing did; `failure` then says why, in a word: `timeout`, `refused`
    (an address that webhooks must not reach), `connection`, `url`. `headers` have lower-case names.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str = ""


class Transport(Protocol):
    """Whatever can send; the forwarder needs no more."""

    async def send(
        self, url: str, *, headers: Mapping[str, str], body: bytes, method: str = "POST"
    ) -> Answer:
        """Send once and never raise for what the network or the receiver does."""
        ...


class HttpTransport:
    """The real one. Connections are kept and shared by all endpoints; close it when done.

    Plain `http` and unusual ports are only for subnets in `allowed` (see `webhooks.guard`).
    """

    def __init__(
        self,
        *,
        allowed: tuple[Network, ...] = (),
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._tls = tls
        self._backends = {
            scheme: GuardedBackend(encrypted=scheme == b"https", allowed=allowed)
            for scheme in (b"http", b"https")
        }
        self._idle: dict[str, list[httpcore.AsyncHTTPConnection]] = {}
        self._urls: dict[str, httpcore.URL] = {}

    async def send(
        self, url: str, *, headers: Mapping[str, str], body: bytes, method: str = "POST"
    ) -> Answer:
        """Send once. The answer's body is read up to 64 KB, redirects are answers like others."""
        target = self._target(url)
        if target is None:
            return Answer(None, failure="url")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(method, target, headers=headers, body=body)
        except AddressRefused:
            return Answer(None, failure="refused")
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(None, failure="timeout")
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError):
            return Answer(None, failure="connection")

    async def _exchange(
        self, method: str, target: httpcore.URL, *, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        request_headers = [(b"Host", _host_header(target))]
        request_headers += [(name.encode(), value.encode()) for name, value in headers.items()]
        if method != "GET":
            request_headers.append((b"Content-Length", str(len(body)).encode()))
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        request = httpcore.Request(
            method, target, headers=request_headers, content=body, extensions={"timeout": limits}
        )
        connection = await self._kept(target.origin)
        if connection is not None:
            try:
                return await self._send(connection, request)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                # The receiver closed it while it was idle. Should it have read the request before,
                # it gets it a second time, by the same id.
                pass
        fresh = httpcore.AsyncHTTPConnection(
            target.origin,
            ssl_context=self._trust() if target.scheme == b"https" else None,
            keepalive_expiry=_KEEP_IDLE_S,
            network_backend=self._backends[target.scheme],
        )
        return await self._send(fresh, request)

    def _trust(self) -> ssl.SSLContext:
        # Read when it is first needed: the certificates of all authorities take a while.
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        return self._tls

    async def _send(
        self, connection: httpcore.AsyncHTTPConnection, request: httpcore.Request
    ) -> Answer:
        try:
            response = await connection.handle_async_request(request)
            answer = bytearray()
            async for part in response.aiter_stream():
                answer += part
                if len(answer) >= LONGEST_ANSWER:
                    break
            await response.aclose()
        except BaseException:
            await connection.aclose()
            raise
        if connection.is_idle():
            self._idle.setdefault(str(request.url.origin), []).append(connection)
        else:
            await connection.aclose()
        return Answer(
            response.status,
            {name.decode("latin-1").lower(): value.decode("latin-1")
             for name, value in response.headers},
            bytes(answer[:LONGEST_ANSWER]),
        )  # fmt: skip

    async def _kept(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection | None:
        """An idle connection that is still good, the one used last; the others are closed."""
        idle = self._idle.get(str(origin), [])
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    def _target(self, url: str) -> httpcore.URL | None:
        # httpx reads URLs as browsers do (IDNA, odd spellings of addresses); httpcore does not.
        target = self._urls.get(url)
        if target is None:
            try:
                parsed = httpx.URL(url)
            except (httpx.InvalidURL, UnicodeError):
                return None
            if parsed.raw_scheme not in self._backends or not parsed.raw_host or parsed.userinfo:
                return None
            target = httpcore.URL(
                scheme=parsed.raw_scheme,
                host=parsed.raw_host,
                port=parsed.port,
                target=parsed.raw_path,
            )
            if len(self._urls) > 1000:  # noqa: PLR2004 -- endpoints come and go, memory does not
                self._urls.clear()
            self._urls[url] = target
        return target

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        while self._idle:
            _, connections = self._idle.popitem()
            for connection in connections:
                await connection.aclose()

    async def __aenter__(self) -> Self:
        """Use as a context: closed at the end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()


def _host_header(target: httpcore.URL) -> bytes:
    host = b"[" + target.host + b"]" if b":" in target.host else target.host
    standard = {b"http": 80, b"https": 443}[target.scheme]
    return host if target.port in {None, standard} else host + b":" + str(target.port).encode()
