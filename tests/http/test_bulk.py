"""Backends that assign on visitors' behalf: many at once, or for a page they render."""

import json
import re

import orjson

from dni_allocator.services.access import Scope
from tests.http.test_bad_input import assert_problem
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, Shown, Site, shown

ONE, TWO = fictional(2)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
ROWS = 1_000


def _row(site: Site, visitor: str, **more: object) -> dict[str, object]:
    return {
        "request_id": f"r-{visitor}", "key": site.key, "visitor_id": visitor, "page_id": "page",
        **more,
    }  # fmt: skip


def _rendered(site: Site, visitor: str) -> dict[str, object]:
    return {"key": site.key, "visitor_id": visitor, "page_id": "page"}


async def test_a_thousand_rows_are_answered_in_their_order(service: Service) -> None:
    """Each is a lease of its own, as if a tag had asked; a repetition renews them all."""
    site = await service.pool(*fictional(ROWS))
    rows = [_row(site, f"v{at}") for at in range(ROWS)]

    first = (await service.admin("POST", "/assign/bulk", rows)).json()["results"]
    again = (await service.admin("POST", "/assign/bulk", {"requests": rows})).json()["results"]

    assert [each["request_id"] for each in first] == [row["request_id"] for row in rows]
    given = [each["assignment"]["numbers"][0] for each in first]
    assert len({each["number"] for each in given}) == ROWS
    assert {each["reason"] for each in given} == {"new"}
    renewed = [each["assignment"]["numbers"][0] for each in again]
    assert [each["lease_id"] for each in renewed] == [each["lease_id"] for each in given]
    assert await site.number("v7") == given[7]["number"]


async def test_a_bad_row_spoils_none_of_the_others(service: Service) -> None:
    """Every row has its own answer: an assignment, or a problem as the tag would get it."""
    site = await service.pool(ONE, TWO)
    rows: list[object] = [
        _row(site, "ann"),
        "no row",
        {"request_id": "r-2"},
        {**_row(site, "bob"), "request_id": 3},
        _row(site, "cyd", key="pk_nobody"),
        _row(site, "cyd", key="", pool_id="pool_nobody"),
        _row(site, "cyd", destinations=["nonsense"]),
        _row(site, "a visitor with blanks"),
        _row(site, "dan", key="", pool_id=site.pool_id),
    ]

    answer = await service.admin("POST", "/assign/bulk", rows)

    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [each["problem"] and each["problem"]["code"] for each in results] == [
        None, "invalid-request", "invalid-request", "invalid-request", "unknown-key",
        "pool-unknown", "invalid-request", "invalid-request", None,
    ]  # fmt: skip
    assert [each["request_id"] for each in results[:5]] == ["r-ann", None, "r-2", None, "r-cyd"]
    numbers = [results[at]["assignment"]["numbers"][0]["number"] for at in (0, 8)]
    assert numbers == [await site.number("ann"), await site.number("dan")]


async def test_a_row_says_what_the_visitors_browser_would_have_said(service: Service) -> None:
    """Robots, previews and limits are about the visitor, not about the backend that asks."""
    site = await service.pool(ONE, TWO, address_leases=1)
    rows = [
        _row(site, "robot", user_agent=GOOGLEBOT),
        _row(site, "early", purpose="prefetch"),
        _row(site, "ann", address="203.0.113.7"),
        _row(site, "bob", address="203.0.113.8"),
        _row(site, "cyd", address="198.51.100.7"),
    ]

    results = (await service.admin("POST", "/assign/bulk", rows)).json()["results"]

    reasons = [each["assignment"]["numbers"][0]["reason"] for each in results]
    # Rows are under way together: which of two of one network is first is a matter of luck.
    assert reasons[:2] == ["bot", "prefetch"]
    assert sorted(reasons[2:4]) == ["new", "rate_limited"]
    assert reasons[4] == "new"


async def test_no_more_rows_than_a_thousand(service: Service) -> None:
    """The whole body is refused, and nothing of it is done."""
    site = await service.pool(ONE)
    before = service.contents()
    rows = [_row(site, f"v{at}") for at in range(ROWS + 1)]

    for body in (rows, [], {}, {"requests": rows}, {"requests": "x"}, "x", None):
        answer = await service.http.post(
            "/assign/bulk",
            content=orjson.dumps(body),
            headers={"Authorization": f"Bearer {service.secret(Scope.ASSIGN)}"},
        )
        assert_problem(answer, 422, "invalid-request")
    broken = await service.http.post(
        "/assign/bulk", content=b"[", headers={"Authorization": f"Bearer {_secret(service)}"}
    )
    assert_problem(broken, 400, "malformed-json")
    after = service.contents()
    assert {name for name in after if "pool_" in name} == {n for n in before if "pool_" in n}


def _secret(service: Service) -> str:
    return service.secret(Scope.ASSIGN)


async def test_only_with_a_key_of_the_scope(service: Service) -> None:
    """Whoever may assign for anybody can empty a pool: a key's owner is known, and limited."""
    site = await service.pool(ONE)
    row = _row(site, "ann")
    reading = f"Bearer {service.secret(Scope.READ, Scope.ATTRIBUTION, Scope.CALLS)}"
    assigning = f"Bearer {_secret(service)}"

    for path, body in (("/assign/bulk", [row]), ("/assign/rendered", _rendered(site, "ann"))):
        nobody = await service.http.post(path, content=orjson.dumps(body))
        assert_problem(nobody, 401, "unauthorized")
        other = await service.admin("POST", path, body, Authorization=reading)
        assert_problem(other, 403, "forbidden")
        good = await service.admin("POST", path, body, Authorization=assigning)
        assert good.status_code == 200, good.text


async def test_a_rendered_page_gets_an_element_to_go_on_from(service: Service) -> None:
    """The tag reads it instead of asking: it holds the answer, the key and when it was made."""
    site = await service.pool(ONE)

    answer = (await service.admin("POST", "/assign/rendered", _rendered(site, "ann"))).json()

    opening, text, closing = re.split(r"(?<=>)(?=\{)|(?<=\})(?=<)", answer["embed"])
    assert opening == '<script type="application/json" data-dni-lease>'
    assert closing == "</script>"
    handed_over = json.loads(text)
    assert handed_over.pop("key") == site.key
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", handed_over.pop("issued_at"))
    assert handed_over == {name: each for name, each in answer.items() if name != "embed"}
    assert answer["numbers"][0]["number"] == await site.number("ann") == ONE


async def test_nothing_in_the_element_ends_it_early(service: Service) -> None:
    """The page's own text comes back in it: ids that are markup must stay text (XSS)."""
    site = await service.pool(ONE)
    key = "</script><script>alert(1)</script>"
    refused = await service.admin("POST", "/assign/rendered", {"key": key, "visitor_id": "<!--"})
    assert refused.status_code in {403, 422}

    answer = await service.admin(
        "POST", "/assign/rendered",
        {"pool_id": site.pool_id, "visitor_id": "ann", "url": "https://shop.example/</script>",
         "fields": {"plan": "</script><!--"}},
    )  # fmt: skip

    embed = answer.json()["embed"]
    inside = embed.removeprefix('<script type="application/json" data-dni-lease>')
    assert "<" not in inside.removesuffix("</script>")
    assert json.loads(inside.removesuffix("</script>"))["key"] == site.key


async def test_a_rendered_page_without_a_number_is_told_so(service: Service) -> None:
    """The answer to a backend is 200, also where a limit or an empty pool leaves the original."""
    site = await service.pool()

    answer = await service.admin("POST", "/assign/rendered", _rendered(site, "ann"))

    assert answer.status_code == 200, answer.text
    assert shown(answer) == [Shown(SHOP, "original", "exhausted", None)]
    assert '"heartbeat_s":null' in answer.json()["embed"]


async def test_unknown_fields_are_refused(service: Service) -> None:
    """The tag's calls pass over what they do not know; a backend's typing error is told."""
    site = await service.pool(ONE)
    row = _row(site, "ann", destination=SHOP)

    bulk = await service.admin("POST", "/assign/bulk", [row, _row(site, "bob")])
    whole = await service.admin("POST", "/assign/bulk", {"requests": [row], "dry_run": True})
    rendered = await service.admin("POST", "/assign/rendered", {"key": site.key, "visitor": "ann"})

    first, second = bulk.json()["results"]
    assert first["problem"]["code"] == "invalid-request"
    assert first["problem"]["detail"].startswith("destination: ")
    assert second["problem"] is None
    assert_problem(whole, 422, "invalid-request")
    assert_problem(rendered, 422, "invalid-request")


async def test_what_backends_are_given_is_in_the_metrics(service: Service) -> None:
    """Whoever asks, a number given is a number given."""
    site = await service.pool(ONE)
    await service.admin("POST", "/assign/bulk", [_row(site, "ann"), _row(site, "bob")])
    await service.admin("POST", "/assign/rendered", _rendered(site, "ann"))

    metrics = (await service.admin("GET", "/metrics")).text

    for status, reason in (("leased", "new"), ("original", "exhausted"), ("leased", "renewed")):
        labels = f'outcome="{status}",pool="{site.pool_id}",reason="{reason}"'
        line = f"dni_assign_requests_total{{{labels}}} 1.0"
        assert line in metrics, metrics
