"""Anything at all where people, pages and vendors may write: no crash, and it reads back as it was.

A long run: `make fuzz`.
"""

import asyncio
import base64
import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import hypothesis.strategies as st
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings

from dni_allocator.domain.errors import DniError, InvalidNumber
from dni_allocator.domain.number import caller_number, parse_number
from dni_allocator.vendors.telnyx import signature as telnyx
from dni_allocator.vendors.twilio import signature as twilio
from dni_allocator.vendors.twilio.signature import TwilioSecrets
from dni_allocator.webhooks import signing
from tests.support.rig import fictional
from tests.support.service import ORIGIN, Service, Site, serving

EXAMPLES: Final = int(os.environ.get("DNI_FUZZ_EXAMPLES", "100"))
FUZZ: Final = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="DNI_FUZZ_EXAMPLES" not in os.environ,
    database=None, suppress_health_check=list(HealthCheck),
)  # fmt: skip
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
PHONEISH: Final = st.text("+0123456789 ()-./x#;=abcext\u0660\uff11\u2010\x00", max_size=45)
# Only dots are no id: a client of HTTP takes them out of a path.
CLIENT_ID: Final = st.from_regex(r"[A-Za-z0-9_.~-]{1,128}", fullmatch=True).filter(
    lambda text: text.strip(".") != ""
)
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip
NAMES: Final = st.sampled_from(
    [
        "key",
        "visitor_id",
        "page_id",
        "url",
        "referrer",
        "destinations",
        "fields",
        "previous",
        "consent",
    ]
)


class Bench:
    """The service on a loop of its own: Hypothesis knows no coroutines."""

    def __init__(self, redis_url: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.service: Service = self._runner.run(self._start(redis_url))
        self.site: Site = self._runner.run(self.service.pool(*fictional(1)))

    async def _start(self, redis_url: str) -> Service:
        return await self._stack.enter_async_context(serving(redis_url))

    def post(self, path: str, body: bytes) -> httpx.Response:
        """What a page gets."""
        return self._runner.run(
            self.service.http.post(path, content=body, headers={"Origin": ORIGIN})
        )

    def attribution(self, number: str) -> dict[str, Any]:
        """Whose it was."""
        return self._runner.run(self.service.attribution(number))

    def erase(self, visitor: str) -> None:
        """Take everything of a visitor away, so that the number is the next one's."""
        path = f"/visitors/{visitor}"
        answer = self._runner.run(self.service.admin("DELETE", path))
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        """Stop the service and its loop."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    """The service and a pool of one number."""
    opened = Bench(redis_url)
    yield opened
    opened.close()


def test_no_bytes_break_the_tags_calls(bench: Bench) -> None:
    """Bytes, JSON of any shape, and JSON whose names are right: 2xx or 4xx, never 5xx."""
    shaped = st.dictionaries(NAMES, JSON, max_size=9).map(
        lambda body: orjson.dumps({**body, "key": bench.site.key})
    )
    odd = st.binary(max_size=300) | JSON.map(
        lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    )

    @FUZZ
    @given(path=st.sampled_from(["/assign", "/heartbeat", "/close"]), body=odd | shaped)
    def check(path: str, body: bytes) -> None:
        answer = bench.post(path, body)

        assert answer.status_code < 500, answer.text
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json"

    check()


def test_what_a_page_tells_reads_back_as_it_was(bench: Bench) -> None:
    """Through the arguments of the scripts and their records, whatever the characters are."""

    @FUZZ
    @given(
        visitor=CLIENT_ID, page=CLIENT_ID, url=TEXT, referrer=TEXT,
        fields=st.dictionaries(TEXT.map(lambda t: f"x{t}"[:64]), TEXT, max_size=5),
    )  # fmt: skip
    def check(visitor: str, page: str, url: str, referrer: str, fields: dict[str, str]) -> None:
        told = {"url": url, "referrer": referrer, "fields": fields}
        body = {"key": bench.site.key, "visitor_id": visitor, "page_id": page, **told}

        answer = bench.post("/assign", orjson.dumps(body))

        assert answer.status_code == 200, answer.text
        (shown,) = answer.json()["numbers"]
        assert shown["status"] == "leased"
        found = bench.attribution(shown["number"])
        assert found["visitor_id"] == visitor
        assert (found["url"] or "") == url
        assert (found["referrer"] or "") == referrer
        assert fields.items() <= found["fields"].items()
        bench.erase(visitor)

    check()


@FUZZ
@given(text=TEXT | PHONEISH, country=st.sampled_from(["US", "GB", "DE", "IT", "AR", "MX"]))
def test_any_text_is_a_number_or_is_refused(text: str, country: str) -> None:
    """A number that is read is read again as itself, everywhere; a refusal repeats nothing."""
    for read in (_parsed, caller_number):
        refused = ""
        try:
            e164 = read(text, country=country)
        except InvalidNumber as error:
            refused = error.detail
            e164 = "+1"
        assert len(text) < 5 or text not in refused
        assert re.fullmatch(r"\+[0-9]+", e164)
        assert refused or caller_number(e164, country="US") == e164


def _parsed(text: str, *, country: str) -> str:
    return parse_number(text, country=country).e164


HEADERS: Final = st.dictionaries(
    st.sampled_from(["x-twilio-signature", "telnyx-signature-ed25519", "telnyx-timestamp",
                     "webhook-id", "webhook-timestamp", "webhook-signature"]),
    TEXT
    | st.binary(max_size=90).map(lambda b: base64.b64encode(b).decode())
    | st.integers().map(str)
    | st.sampled_from(["v1,", "v1a,AAAA", "v1,é", "1e9", "١٢٣", "nan", "-1", "9" * 5000]),
)  # fmt: skip
PRIVATE: Final = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SECRET: Final = signing.new_secret(b"s" * 32)


@FUZZ
@given(headers=HEADERS, body=st.binary(max_size=200),
       fields=st.lists(st.tuples(TEXT, TEXT), max_size=4),
       url=TEXT)  # fmt: skip
def test_no_signature_of_chance_is_genuine(
    headers: dict[str, str], body: bytes, fields: list[tuple[str, str]], url: str
) -> None:
    """Whatever the headers hold: not genuine, said without falling over."""
    for_json = None if fields else body

    assert not twilio.genuine(
        f"https://dni.example/{url}", headers=headers, fields=fields, body=for_json,
        secrets=TwilioSecrets("token", None),
    )  # fmt: skip
    assert not telnyx.genuine(body, headers=headers, key=PRIVATE.public_key(), now_s=1e9)
    with pytest.raises(Exception) as refused:  # noqa: PT011 -- its kind is what is asserted
        signing.verify([SECRET], headers=headers, body=body, now_s=1e9)
    assert isinstance(refused.value, (DniError, ValueError))
    assert type(refused.value).__module__.startswith("dni_allocator")


@FUZZ
@given(body=st.binary(max_size=500), at=st.integers(0, 2**33), message_id=CLIENT_ID)
def test_our_own_signature_holds_for_what_was_signed_and_nothing_else(
    body: bytes, at: int, message_id: str
) -> None:
    """For any body, in any second; one more byte and it does not."""
    signed = signing.sign([SECRET], message_id=message_id, timestamp_s=at, body=body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": signed,
    }  # fmt: skip

    assert signing.verify([SECRET], headers=headers, body=body, now_s=at)
    with pytest.raises(Exception, match=r".") as refused:
        signing.verify([SECRET], headers=headers, body=body + b"x", now_s=at)
    assert type(refused.value).__module__.startswith("dni_allocator")
