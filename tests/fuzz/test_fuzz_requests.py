"""What stands around a body: cursors, instants, keys in headers, tables of numbers.

The schemas of `openapi.yaml` say that these are texts; which texts, only the service knows.
"""

import base64
import csv
import io
from typing import Any, Final

import httpx
import hypothesis.strategies as st
import orjson
from hypothesis import example, given

from dni_allocator.api.call_csv import safe
from tests.fuzz.test_every_operation import SPEC
from tests.support.fuzzing import FUZZ, JSON, PHONEISH, TEXT, Bench, Count
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY

BENT: Final = st.sampled_from(
    ["²", "١٢٣", "\uff19", "-1", "+1", " 1", "1 ", "0x1", "1e9", "1_0", "nan", "inf", "null",
     "\x00", "9" * 19, "9" * 30, "9" * 300, "1-1", "1-", "-", "9" * 30 + "-1", "$", "*",
     "(1", "+inf",
     "2026-11-26", "2026-11-26T00:00:00", "2026-11-26T00:00:00Z", "0001-01-01T00:00:00Z",
     "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
     "2026-02-30T00:00:00Z", "1" * 18, "-" + "9" * 18, "1700000000.5", "oldest", "now"]
)  # fmt: skip
"""Numbers to one reader and none to the next, and instants at the ends of time."""


def _sealed(value: object) -> str:
    """JSON as our cursors carry it."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


POSITION: Final = st.sampled_from(["0-0", "1-1", "9" * 30 + "-1", "1-" + "9" * 30, "x", "-", "1"])
SEALED: Final = (JSON | st.lists(POSITION | BENT, min_size=4, max_size=4)).map(_sealed)
QUERY_TEXT: Final = BENT | SEALED | TEXT | PHONEISH | st.integers().map(str)


def _asked() -> dict[str, list[str]]:
    """The parameters in the query of every GET, by path."""
    found = {}
    for path, item in SPEC["paths"].items():
        operation: dict[str, Any] = item.get("get", {})
        names = [
            each["name"]
            for each in operation.get("parameters", ())
            if each["in"] == "query" and each["name"] != "wait_s"  # it does wait
        ]
        if names:
            found[path] = names
    return found


ASKED: Final = _asked()


def test_the_walk_finds_cursors_and_instants() -> None:
    """The test below is worth something only if there is something to ask."""
    names = {name for every in ASKED.values() for name in every}

    assert len(ASKED) > 20
    assert {"cursor", "at", "limit"} <= names


def test_no_query_breaks_a_question(bench: Bench, count: Count) -> None:
    """One parameter of one question with whatever text: 2xx or a problem, never 5xx."""
    site = bench.run(bench.service.pool(*fictional(2)))
    number = bench.run(site.number("ann"))
    bench.admin("POST", "/calls", {"number": number, "caller": "+14155550177"})
    known = {"pool_id": site.pool_id, "number": number, "vendor": "sandbox"}
    question = st.sampled_from(sorted(ASKED)).flatmap(
        lambda path: st.tuples(st.just(path), st.sampled_from(sorted(ASKED[path])))
    )

    @FUZZ
    @given(question=question, value=QUERY_TEXT)
    @example(("/events", "cursor"), _sealed(["9" * 30 + "-1"] * 4))
    @example(("/pools/{pool_id}/numbers", "cursor"), "²")
    @example(("/pools/{pool_id}/numbers", "cursor"), "9" * 20)
    @example(("/purchases", "cursor"), "².a")
    @example(("/leases", "cursor"), "9" * 400 + "_1")
    @example(("/audit", "cursor"), "a٣_1")
    @example(("/pools/{pool_id}/history", "from"), "9999-12-31T23:59:59.999999Z")
    def check(question: tuple[str, str], value: str) -> None:
        path, name = question
        for each, its in known.items():
            path = path.replace(f"{{{each}}}", its)
        request = bench.service.http.build_request(
            "GET", path.replace("{kind}", "svg"), params={name: value},
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )  # fmt: skip

        answer = bench.send(request)

        count("parameters of questions: cursors, instants, filters")
        assert answer.status_code < 500, (path, name, answer.text)

    check()


@FUZZ
@given(
    header=st.binary(max_size=80)
    | TEXT.map(str.encode)
    | st.binary(max_size=80).map(lambda text: b"Bearer " + text)
    | st.sampled_from([b"Bearer", b"Bearer ", b"bearer sk_", b"Basic Og==", b"Basic \xff", b"sk_"])
)
@example(header=b"Basic " + base64.b64encode(b":" * 200))
def test_no_header_opens_by_chance(bench: Bench, count: Count, header: bytes) -> None:
    """Any bytes as `Authorization`: 401 where a key is wanted, everywhere the same."""
    raw = header.translate(None, b"\r\n\x00")  # no client can send these

    for path in ("/pools", "/conversion-files/ts_a/cnv_b.csv", "/metrics"):
        answer = bench.send(
            httpx.Request("GET", f"http://dni.example{path}", headers=[(b"Authorization", raw)])
        )

        count("headers of Authorization")
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


CELL: Final = TEXT | PHONEISH | st.sampled_from(
    ["=1+1", "+16025550100", '"', "a,b", "\n", "\r", "@x", "number", "\ufeff"]
)  # fmt: skip


def test_no_table_of_numbers_breaks_an_import(bench: Bench, count: Count) -> None:
    """Any bytes as CSV, and any cells under the right names: rows are attached or refused."""
    site = bench.run(bench.service.pool())
    names = st.lists(
        st.sampled_from(["number", "rate_centre", "region", "latitude", "longitude"]) | CELL,
        min_size=1, max_size=6,
    )  # fmt: skip
    written = st.tuples(names, st.lists(st.lists(CELL, max_size=7), max_size=4)).map(
        lambda table: _table([table[0], *table[1]])
    )

    @FUZZ
    @given(body=written | st.binary(max_size=200))
    def check(body: bytes) -> None:
        path = f"/pools/{site.pool_id}/numbers"
        request = bench.service.http.build_request(
            "POST", path, content=body,
            headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
        )  # fmt: skip

        answer = bench.send(request)

        count("tables of numbers (CSV)")
        assert answer.status_code < 500, answer.text
        if answer.is_success:
            told = answer.json()
            assert set(told) >= {"attached", "rejected"}

    check()


def _table(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@FUZZ
@given(cell=TEXT | CELL)
@example(cell="+16025550100\n")
def test_no_cell_of_an_export_is_a_formula(count: Count, cell: str) -> None:
    """What it begins with is nothing a spreadsheet runs, and all of it is still there."""
    written = safe(cell)

    count("cells of exports")
    assert written in {cell, f"'{cell}"}
    is_number = written[1:].isascii() and written[1:].isdigit()
    assert written[:1] not in {"=", "-", "@", "\t", "\r", "\n"}
    assert written[:1] != "+" or is_number
