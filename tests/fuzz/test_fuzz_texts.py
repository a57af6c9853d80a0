"""Anything at all where people, pages and vendors may write: no crash, and it reads back as it was.

Few examples in `make test`, thousands in `make fuzz`.
"""

import base64
import itertools
import re
from typing import Final

import hypothesis.strategies as st
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given

from dni_allocator.domain.errors import DniError, InvalidNumber
from dni_allocator.domain.number import caller_number, parse_number
from dni_allocator.vendors.telnyx import signature as telnyx
from dni_allocator.vendors.twilio import signature as twilio
from dni_allocator.vendors.twilio.signature import TwilioSecrets
from dni_allocator.webhooks import signing
from tests.support.fuzzing import (
    CLIENT_ID,
    EXAMPLES,
    FUZZ,
    JSON,
    PHONEISH,
    TEXT,
    Bench,
    Count,
    fuzz,
)
from tests.support.rig import SETTINGS, fictional
from tests.support.service import Site

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


(NUMBER,) = fictional(1)


@pytest.fixture
def site(bench: Bench) -> Site:
    """A pool of one number."""
    return bench.run(bench.service.pool(NUMBER))


def test_no_bytes_break_the_tags_calls(bench: Bench, site: Site, count: Count) -> None:
    """Bytes, JSON of any shape, and JSON whose names are right: 2xx or 4xx, never 5xx."""
    shaped = st.dictionaries(NAMES, JSON, max_size=9).map(
        lambda body: orjson.dumps({**body, "key": site.key})
    )
    odd = st.binary(max_size=300) | JSON.map(
        lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    )

    @FUZZ
    @given(path=st.sampled_from(["/assign", "/heartbeat", "/close"]), body=odd | shaped)
    def check(path: str, body: bytes) -> None:
        answer = bench.post(path, body)

        count("bodies of the tag's calls")
        assert answer.status_code < 500, answer.text
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json"

    check()


def test_what_a_page_tells_reads_back_as_it_was(bench: Bench, site: Site, count: Count) -> None:
    """Through the arguments of the scripts and their records, whatever the characters are."""
    views = itertools.count()

    @FUZZ
    @given(
        visitor=CLIENT_ID, page=CLIENT_ID, url=TEXT, referrer=TEXT,
        fields=st.dictionaries(TEXT.map(lambda t: f"x{t}"[:64]), TEXT, max_size=5),
    )  # fmt: skip
    def check(visitor: str, page: str, url: str, referrer: str, fields: dict[str, str]) -> None:
        # Somebody who comes back and tells nothing is known by what they told before.
        visitor = f"{next(views)}~{visitor}"[:128]
        told = {"url": url, "referrer": referrer, "fields": fields}
        body = {"key": site.key, "visitor_id": visitor, "page_id": page, **told}

        answer = bench.post("/assign", orjson.dumps(body))

        assert answer.status_code == 200, answer.text
        (shown,) = answer.json()["numbers"]
        assert shown["status"] == "leased"
        found = bench.run(bench.service.attribution(shown["number"]))
        assert found["visitor_id"] == visitor
        assert (found["url"] or "") == url
        assert (found["referrer"] or "") == referrer
        kept = found["fields"]
        assert isinstance(kept, dict)
        assert fields.items() <= kept.items()
        bench.service.clock.advance(seconds=SETTINGS.idle_limit_s)  # the number is the next one's
        count("page views that read back as they were")

    check()


def test_a_visitor_of_any_id_is_erased(bench: Bench, site: Site, count: Count) -> None:
    """The id stands in a path then: what `/assign` takes must be one that can stand there."""

    @fuzz(max(20, EXAMPLES // 50))
    @given(visitor=CLIENT_ID | st.text("./~-_a", min_size=1, max_size=6), page=CLIENT_ID)
    @example(visitor=".", page="p")
    @example(visitor="..", page="p")
    def check(visitor: str, page: str) -> None:
        body = {"key": site.key, "visitor_id": visitor, "page_id": page}

        answer = bench.post("/assign", orjson.dumps(body))

        count("visitors erased by id")
        assert answer.status_code in {200, 422}, answer.text
        if answer.status_code == 200:
            erased = bench.admin("DELETE", f"/visitors/{visitor}")
            assert erased.status_code == 200, erased.text
            assert bench.run(bench.service.attribution(NUMBER))["visitor_id"] is None

    check()


@FUZZ
@given(text=TEXT | PHONEISH, country=st.sampled_from(["US", "GB", "DE", "IT", "AR", "MX"]))
def test_any_text_is_a_number_or_is_refused(count: Count, text: str, country: str) -> None:
    """A number that is read is read again as itself, everywhere; a refusal repeats nothing."""
    count("phone numbers as they are typed")
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
    count: Count, headers: dict[str, str], body: bytes, fields: list[tuple[str, str]], url: str
) -> None:
    """Whatever the headers hold: not genuine, said without falling over."""
    count("signatures of chance (webhooks, Twilio, Telnyx)")
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
    count: Count, body: bytes, at: int, message_id: str
) -> None:
    """For any body, in any second; one more byte and it does not."""
    count("signatures of our own, right and changed")
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
