"""A customer's site and a scriptable stand-in for the service, both real HTTP servers on loopback.

Owns what the tag's tests need of the far side: pages by path, the tag's two URLs, and answers that
a test chooses call by call. Knows nothing of the real service, so that it can misbehave as no test
of the real one could ask it to.
"""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

import phonenumbers
from phonenumbers import PhoneNumberFormat

from dni_allocator.tag import bundle

PHOENIX: Final = "+16025550100"
LONDON: Final = "+442079460001"
TAG_KEY: Final = "pk_test"
HEARTBEAT_S: Final = 30
IDLE_LIMIT_S: Final = 300

# Numbers set aside for fiction: 555-01xx in North America, 020 7946 0xxx in London.
POOL: Final = {PHOENIX: "+16025550123", LONDON: "+442079460789"}
DESTINATIONS: Final = (
    bundle.TagDestination(e164=PHOENIX, digits=("6025550100", "16025550100")),
    bundle.TagDestination(e164=LONDON, digits=("02079460001", "442079460001", "4402079460001")),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the stand-in heard it."""

    method: str
    path: str
    content_type: str
    raw: bytes

    @property
    def body(self) -> dict[str, object]:
        """The JSON object that was sent."""
        body = json.loads(self.raw)
        assert isinstance(body, dict)
        return body

    def text(self, name: str) -> str:
        """Return a value that has to be a string."""
        value = self.body[name]
        assert isinstance(value, str)
        return value

    @property
    def fields(self) -> dict[str, str]:
        """The marketing data of an assign request."""
        fields = self.body["fields"]
        assert isinstance(fields, dict)
        return fields


@dataclass(frozen=True, slots=True)
class Reply:
    """What the stand-in answers; `None` as a reply means: never, as long as the test runs."""

    body: object = None
    status: int = 200
    raw: bytes | None = None
    retry_after: int | None = None


Answer = Callable[[Call], Reply | None]


def row(destination: str, number: str | None, status: str = "leased") -> dict[str, object]:
    """Return one number of an assign answer as the service words it."""
    shown = phonenumbers.parse(number or destination)
    forms = {
        "e164": PhoneNumberFormat.E164,
        "national": PhoneNumberFormat.NATIONAL,
        "international": PhoneNumberFormat.INTERNATIONAL,
        "rfc3966": PhoneNumberFormat.RFC3966,
    }
    formats = {name: phonenumbers.format_number(shown, form) for name, form in forms.items()}
    return {
        "destination": destination,
        "number": number,
        "display": formats["national"],
        "formats": formats,
        "status": status,
        "reason": "new",
        "expires_in_s": IDLE_LIMIT_S if status == "leased" else None,
        "lease_id": "lease_1",
    }


def assigned(numbers: dict[str, str]) -> Answer:
    """Answer assign requests with the number each destination has here, else with the original."""

    def answer(call: Call) -> Reply:
        destinations = call.body["destinations"]
        assert isinstance(destinations, list)
        rows = [
            row(each, numbers[each]) if each in numbers else row(each, None, "original")
            for each in destinations
        ]
        leased = any(each["status"] == "leased" for each in rows)
        return Reply(
            {
                "visitor_id": call.body["visitor_id"],
                "page_id": call.body["page_id"],
                "heartbeat_s": HEARTBEAT_S if leased else None,
                "numbers": rows,
            }
        )

    return answer


def always(reply: Reply | None) -> Answer:
    """Answer every call alike."""
    return lambda _: reply


def in_turn(*answers: Answer) -> Answer:
    """Answer the first call by the first, and so on; the last one stays."""
    left = list(answers)

    def answer(call: Call) -> Reply | None:
        now = left.pop(0) if len(left) > 1 else left[0]
        return now(call)

    return answer


@dataclass(slots=True)
class Standin:
    """The far side of the tag.

    Attributes:
        site: origin of the customer's pages; `service`: another origin, so that CORS is real.
        pages: HTML by path; `files`: scripts by path.
        answers: what the service says, by path.
        calls: everything the service was asked but the tag itself, in order, preflights too.
        told_origin: where the tag is told to ask, if that is not the service.
        second_file: what the address of the second file gives.
        tag_format: the format setting in the dynamic tag.
        tag_fields: the pool's dictionary.
    """

    site: str = ""
    service: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    told_origin: str = ""
    second_file: bytes = field(default_factory=lambda: bundle.load_more().body)
    tag_format: str = "mirror"
    tag_fields: tuple[bundle.TagField, ...] = ()
    answers: dict[str, Answer] = field(
        default_factory=lambda: {
            "/assign": assigned(POOL),
            "/heartbeat": always(Reply({"expires_in_s": IDLE_LIMIT_S})),
            "/close": always(Reply(status=204)),
        }
    )
    _over: threading.Event = field(default_factory=threading.Event)

    def heard(self, path: str) -> list[Call]:
        """Return the calls of one path so far."""
        return [call for call in self.calls if call.path == path]

    def snippet(self, key: str = TAG_KEY, options: str = "") -> str:
        """Return the integration code of the dynamic tag, with further attributes."""
        return f'<script async src="{self.service}/tag.js?key={key}" {options}></script>'

    def pinned_snippet(self, integrity: str) -> str:
        """Return the integration code of the pinned tag."""
        return (
            f'<script async src="{self.service}/tag/{bundle.load().version}.js" '
            f'integrity="{integrity}" crossorigin="anonymous" '
            f'data-config="{escape(bundle.settings(self.config(TAG_KEY), pinned=True))}"></script>'
        )

    def config(self, key: str) -> bundle.TagConfig:
        """Return what the dynamic tag is rendered with."""
        return bundle.TagConfig(
            key=key,
            origin=self.told_origin or self.service,
            destinations=DESTINATIONS,
            format=self.tag_format,
            fields=self.tag_fields,
        )

    def script(self, path: str, *, key: str) -> bytes | None:
        """Return what the service serves at a path, or the site."""
        version = bundle.load().version
        if path == "/tag.js":
            return bundle.render(self.config(key))
        if path == f"/tag/{version}.js":
            return bundle.load().body
        return self.second_file if path == f"/tag/{version}.more.js" else self.files.get(path)

    def answer(self, call: Call) -> Reply:
        """Record a call and answer it, or wait until the test is over."""
        self.calls.append(call)
        reply = self.answers[call.path](call)
        if reply is None:
            self._over.wait()
        return reply or Reply(status=503)

    def end(self) -> None:
        """Let go of the calls that were never to be answered."""
        self._over.set()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that leaves resets its connections."""


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            key = parse_qs(url.query).get("key", [""])[0]
            if url.path in standin.pages:
                page = standin.pages[url.path].encode()
                self._send(200, "text/html; charset=utf-8", page)
            elif (script := standin.script(url.path, key=key)) is not None:
                # As from the service: its hash is that of what the browser unpacks.
                packed = {"Content-Encoding": "gzip"}
                self._send(200, "text/javascript", gzip.compress(script), packed)
            else:
                self._send(404 if url.path != "/favicon.ico" else 204, "text/plain", b"")

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            call = Call(
                method=self.command,
                path=self.path,
                content_type=self.headers["Content-Type"] or "",
                raw=self.rfile.read(length),
            )
            reply = standin.answer(call)
            body = reply.raw if reply.raw is not None else json.dumps(reply.body).encode()
            headers = {} if reply.retry_after is None else {"Retry-After": str(reply.retry_after)}
            self._send(
                reply.status, "application/json", body if reply.status != 204 else b"", headers
            )

        def do_OPTIONS(self) -> None:
            standin.calls.append(Call(self.command, self.path, "", b""))
            self._send(403, "text/plain", b"")

        def _send(
            self, status: int, content_type: str, body: bytes, more: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Expose-Headers", "Retry-After")
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Keep the test's output to what the test says."""

    return Handler


@contextmanager
def _listening(standin: Standin) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _handler(standin)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running() -> Iterator[Standin]:
    """Run site and service on two ephemeral ports."""
    standin = Standin()
    with _listening(standin) as site, _listening(standin) as service:
        standin.site, standin.service = site, service
        try:
            yield standin
        finally:
            standin.end()
