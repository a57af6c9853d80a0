"""Traffic sources as an operator handles them, and as attribution and calls tell of them."""

import pytest

from tests.support.service import Json, Service, Site

ONE, TWO = "+12125550101", "+12125550102"
PAGE = "https://shop.example/"


async def made(service: Service, kind: str, **more: object) -> Json:
    """A new source."""
    answer = await service.admin("POST", "/traffic-sources", {"kind": kind, "name": kind, **more})
    assert answer.status_code == 201, answer.text
    source: Json = answer.json()
    return source


async def called(service: Service, number: str) -> Json:
    """A call that was recorded."""
    answer = await service.admin("POST", "/calls", {"number": number})
    assert answer.status_code == 201, answer.text
    call: Json = answer.json()
    return call


async def linked(service: Service, *sources: Json) -> Site:
    """A pool that names these sources."""
    return await service.pool(ONE, TWO, traffic_sources=[each["id"] for each in sources])


async def test_a_source_is_made_listed_edited_and_deleted(service: Service) -> None:
    """Each setting can be read back, and changed without touching the others."""
    condition = {"field": "url.path", "operator": "starts_with", "values": ["/spring"]}
    settings = {"name": "Spring", "conditions": [condition], "medium": "email",
                "min_confidence": 0.8, "description": "Newsletter"}  # fmt: skip
    source = await made(service, "custom", **settings)
    path = f"/traffic-sources/{source['id']}"

    edited = (await service.admin("PATCH", path, {"name": "Summer", "medium": None})).json()
    listed = (await service.admin("GET", "/traffic-sources")).json()["traffic_sources"]
    gone = await service.admin("DELETE", path)
    after = await service.admin("GET", path)

    assert source.items() >= settings.items()
    assert edited == source | {"name": "Summer", "medium": None}
    assert listed == [edited]
    assert (gone.status_code, after.status_code) == (204, 404)
    assert after.json()["code"] == "traffic-source-unknown"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "custom", "name": "Without conditions"},
        {"kind": "google", "name": "x", "conditions": [{"field": "plan", "operator": "present"}]},
        {"kind": "custom", "name": "x", "conditions": [{"field": "url.a", "operator": "present"}]},
        {"kind": "newspaper", "name": "x"},
        {"kind": "meta"},
        {"kind": "meta", "name": "x", "medium": "costly"},
        {"kind": "meta", "name": "x", "min_confidence": 2},
        {"kind": "meta", "name": "x", "colour": "blue"},
    ],
)  # fmt: skip
async def test_a_source_that_could_not_work_is_refused(service: Service, body: Json) -> None:
    """With 422, and nothing is written."""
    before = service.contents()

    answer = await service.admin("POST", "/traffic-sources", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert service.contents() == before


async def test_attribution_and_calls_tell_the_source(service: Service) -> None:
    """The kind by the rules, the operator's source by the pool's link."""
    ads = await made(service, "google", medium="paid")
    site = await linked(service, ads)
    number = await site.number("ann", url=f"{PAGE}?gclid=EAIa", referrer="https://www.google.com/")

    found = await service.attribution(number)
    call = await called(service, number)

    told = {"source": "google", "source_name": "google", "source_id": ads["id"], "medium": "paid"}
    assert found.items() >= (told | {"told_by": "gclid"}).items()
    assert found["candidates"][0].items() >= told.items()  # type: ignore[index]
    assert call.items() >= told.items()


async def test_without_a_visitor_there_is_no_source(service: Service) -> None:
    """Nobody is known, so nothing is said."""
    await service.pool(ONE)

    found = await service.attribution(ONE)
    call = await called(service, ONE)

    assert (found["source"], found["medium"], found["told_by"]) == (None, None, None)
    assert (call["source"], call["source_id"]) == (None, None)


async def test_an_own_source_wins_in_the_pools_order(service: Service) -> None:
    """Only sources that the pool names count, the first that holds first."""
    condition = {"field": "utm_campaign", "operator": "contains", "values": ["brand"]}
    brand = await made(service, "custom", name="Brand", conditions=[condition], medium="paid")
    ads = await made(service, "google")
    url = f"{PAGE}?gclid=EAIa&utm_campaign=brand-us"
    both = await linked(service, brand, ads)
    number = await both.number("ann", url=url)
    await service.admin("PATCH", f"/pools/{both.pool_id}", {"traffic_sources": [ads["id"]]})
    other = await both.number("bob", "page-2", url=url)

    [first, second] = [(await called(service, each))["source_name"] for each in (number, other)]
    custom = await service.admin("GET", "/calls?source=custom")

    assert (first, second) == ("google", "google")
    assert custom.json()["calls"] == []
    await service.admin(
        "PATCH", f"/pools/{both.pool_id}", {"traffic_sources": [brand["id"], ads["id"]]}
    )
    again = await called(service, number)
    assert (again["source"], again["source_name"], again["source_id"]) == (
        "custom", "Brand", brand["id"],
    )  # fmt: skip


async def test_an_unsure_call_is_nobodys_to_report(service: Service) -> None:
    """Its source is told all the same; the operator's takes it only from its confidence on."""
    unsure = await made(service, "google", min_confidence=0.96)
    site = await linked(service, unsure)
    number = await site.number("ann", url=f"{PAGE}?gclid=EAIa")
    await service.tag("/close", {"key": site.key, "visitor_id": "ann", "page_id": "page"})

    found = await service.attribution(number)
    call = await called(service, number)

    assert (found["confidence"], found["source_id"]) == (0.95, unsure["id"])
    assert (call["source"], call["source_id"]) == ("google", None)


@pytest.mark.parametrize("wanted", ["kind", "name", "id"])
async def test_calls_are_listed_by_source(service: Service, wanted: str) -> None:
    """By its kind, its name, or the operator's own id."""
    mail = await made(service, "referral", medium="email")
    site = await linked(service, mail)
    letter = await site.number("ann", url=f"{PAGE}?utm_source=Letter&utm_medium=email")
    direct = await site.number("bob", "page-2", url=PAGE)
    call = await called(service, letter)
    await called(service, direct)
    query = {"kind": "referral", "name": "letter", "id": str(mail["id"])}[wanted]

    listed = (await service.admin("GET", f"/calls?source={query}")).json()["calls"]

    assert [each["id"] for each in listed] == [call["id"]]


async def test_a_pool_names_sources_that_there_are(service: Service) -> None:
    """A typing mistake is told; a source that was deleted since stays without effect."""
    source = await made(service, "google")
    site = await linked(service, source)

    wrong = await service.admin(
        "PATCH", f"/pools/{site.pool_id}", {"traffic_sources": [source["id"], "src_nobody"]}
    )
    await service.admin("DELETE", f"/traffic-sources/{source['id']}")
    renamed = await service.admin("PATCH", f"/pools/{site.pool_id}", {"name": "Still"})
    found = await service.attribution(await site.number("ann", url=f"{PAGE}?gclid=1"))

    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "traffic_sources.1"
    assert renamed.status_code == 200
    assert (found["source"], found["source_id"]) == ("google", None)
