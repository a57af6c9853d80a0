"""A vendor that a test tells what to do: stock, prices, what was sold, and everything that breaks.

Speaks Twilio's interface and Telnyx' over HTTP on loopback. Each request, and each good answer, is
judged by the vendor's document; what is wrong with one is in `problems`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from tests.support.vendors.contract import Contract
from tests.support.waiting import wait_until_async

SID = "AC" + "0" * 32
TOKEN = "token-of-the-stand-in"
VOICE = "https://dni.example/telephony"

Json = Any
Reply = tuple[int, Json]


class Fault(Enum):
    """What goes wrong with one request."""

    BUSY = auto()
    """429, to come back at once."""
    BROKEN = auto()
    """500 before anything happened."""
    BROKEN_AFTER = auto()
    """500, and it happened."""
    SILENT_AFTER = auto()
    """No answer at all, and it happened."""
    SILENT = auto()
    """No answer, and nothing happened."""
    NONSENSE = auto()
    """An answer that is something else."""
    REFUSED = auto()
    """401."""


@dataclass(slots=True)
class Item:
    """A number in stock."""

    number: str
    monthly: str = "1.15"
    rate_centre: str = "PHOENIX"
    region: str = "AZ"
    latitude: float = 33.45
    longitude: float = -112.07
    toll_free: bool = False


@dataclass(slots=True)
class Sold:
    """A number that was sold."""

    number: str
    vendor_id: str
    reference: str
    told: dict[str, str] = field(default_factory=dict)
    pending_looks: int = 0
    """How often a look-up still says that it is pending."""
    fails: bool = False
    """After that it turns out that it cannot be had."""


@dataclass(slots=True)
class Vendor:
    """`sales` has every sale that took effect, in order; a number sold twice is in it twice."""

    stock: dict[str, Item] = field(default_factory=dict)
    sold: dict[str, Sold] = field(default_factory=dict)
    sales: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Offered, and sold to somebody else before it is ordered."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By operation: `search`, `order`, `look_up`, `price`, `release`; one for each request."""
    pending_looks: int = 0
    pending_fails: set[str] = field(default_factory=set)
    applications: list[dict[str, str]] = field(default_factory=list)
    page_size: int = 1000
    came: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a request is left without an answer."""
    url: str = ""
    before_answer: Callable[[str], None] = lambda _: None

    def put(self, *numbers: str, **facts: Any) -> None:  # noqa: ANN401 -- fields of `Item`
        """Put numbers on sale."""
        for number in numbers:
            self.stock[number] = Item(number, **facts)

    def sell(self, number: str, *, reference: str, told: dict[str, str]) -> Sold | None:
        """Sell; None: not available. A sale of what is sold already is one more sale."""
        if number in self.gone or number not in self.stock:
            return None
        del self.stock[number]
        self.sales.append(number)
        self.sold[number] = Sold(
            number, f"PN{len(self.sales):032x}", reference, told, self.pending_looks,
            number in self.pending_fails,
        )  # fmt: skip
        return self.sold[number]

    async def __call__(self, scope: Json, receive: Json, send: Json) -> None:
        """Answer one request, as an ASGI application."""
        if scope["type"] != "http":
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = Request.of(scope, raw)
        self.came.append(f"{request.method} {request.path}")
        operation, answer, contract, path = _route(self, request)
        self.problems += contract.of_request(
            request.method, path, query=request.query, body=request.body, form=request.form
        )
        fault = self.faults[operation].pop(0) if self.faults.get(operation) else None
        happens = fault in {None, Fault.BROKEN_AFTER, Fault.SILENT_AFTER, Fault.NONSENSE}
        status, body = answer() if happens else (500, {})
        if fault in {Fault.SILENT, Fault.SILENT_AFTER}:
            self.waiting.set()
            await receive()  # until the client has had enough
            return
        if fault is None:
            self.problems += contract.of_answer(request.method, path, status=status, body=body)
        else:
            status, body = _faulty(fault)
        self.before_answer(operation)
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        text = b"" if status == 204 else json.dumps(body).encode()
        await send({"type": "http.response.body", "body": text})


def _faulty(fault: Fault) -> Reply:
    match fault:
        case Fault.BUSY:
            return 429, {"code": 20429}
        case Fault.NONSENSE:
            return 200, ["something", "else"]
        case Fault.REFUSED:
            return 401, {"code": 20003}
        case _:
            return 500, {}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Json
    form: bool
    authorization: str

    @classmethod
    def of(cls, scope: Json, raw: bytes) -> "Request":
        """Read it."""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        body: Json = None
        if raw:
            body = dict(parse_qsl(raw.decode())) if form else json.loads(raw)
        query = parse_qsl(scope["query_string"].decode())
        authorization = headers.get("authorization", "")
        return cls(scope["method"], scope["path"], query, body, form, authorization)

    @property
    def asked(self) -> dict[str, str]:
        """The query as a mapping."""
        return dict(self.query)


def _route(vendor: Vendor, request: Request) -> tuple[str, Callable[[], Reply], Contract, str]:
    from tests.support.vendors import telnyx, twilio  # noqa: PLC0415 -- they know this module

    if request.path.startswith("/v2/"):
        operation, answer = telnyx.route(vendor, request)
        return operation, answer, telnyx.CONTRACT, request.path.removeprefix("/v2")
    operation, answer = twilio.route(vendor, request)
    return operation, answer, twilio.CONTRACT, request.path


def basic(user: str, password: str) -> str:
    """The header of Basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@asynccontextmanager
async def selling() -> AsyncIterator[Vendor]:
    """A vendor that listens, until the block is left; what it found wrong fails the test."""
    vendor = Vendor()
    server = uvicorn.Server(uvicorn.Config(vendor, port=0, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await wait_until_async(lambda: server.started, what="the stand-in")
    vendor.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield vendor
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving
    assert vendor.problems == []
