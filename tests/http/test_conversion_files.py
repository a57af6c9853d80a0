"""Files of conversions, fetched as Google Ads and Microsoft Advertising do."""

import asyncio
import csv
import io

import httpx
import pytest

from tests.http.test_conversions import a_source, asked, qualified, reported
from tests.support.service import Json, Service

NUMBERS = ("+12125550101", "+12125550102", "+12125550103")
GOOGLE: Json = {"kind": "google_ads", "conversion_name": "Phone call"}


async def fetched(service: Service, url: object, password: str | None = None) -> httpx.Response:
    """Fetch as a machine without our keys does."""
    auth = None if password is None else httpx.BasicAuth("google", password)
    return await service.http.get(str(url), auth=auth)


def rows(answer: httpx.Response) -> list[list[str]]:
    """The lines of a file."""
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline="")))


async def test_a_file_has_the_qualified_calls_of_its_source(service: Service) -> None:
    """Of this source, with a click id of this network, and no others; newest first."""
    source = await a_source(service)
    microsoft = await a_source(service, "microsoft")
    google = await reported(service, source, **GOOGLE)
    bing = await reported(service, microsoft, kind="microsoft_ads", conversion_name="Call")
    site = await service.pool(*NUMBERS, traffic_sources=[source, microsoft])
    await qualified(site, "ann", "https://shop.example/?gclid=EAIa", value="9.5", currency="USD")
    service.clock.advance(seconds=60)
    await qualified(site, "bob", "https://shop.example/?msclkid=7a1b")
    number = await site.number("eve", "page-3", url="https://shop.example/?gclid=Cj0K")
    await asked(service, "POST", "/calls", {"number": number})

    [_, *lines] = rows(await fetched(service, google["secret_url"]))
    [_, _, *others] = rows(await fetched(service, bing["secret_url"]))

    assert lines == [["EAIa", "", "", "Phone call", "2027-01-15 08:00:00+0000", "9.50", "USD"]]
    assert others == [["7a1b", "Call", "1/15/2027 8:01:00 AM", "", ""]]


async def test_a_file_opens_by_password_or_by_its_secret_address(service: Service) -> None:
    """The answer is a file that nobody keeps, for whoever has the token."""
    source = await a_source(service)
    made = await reported(service, source, **GOOGLE)
    token = str(made["token"])

    by_path = await fetched(service, made["secret_url"])
    by_password = await fetched(service, made["url"], token)
    without = await fetched(service, made["url"])
    wrong = await fetched(service, made["url"], "cft_wrong")
    guessed = await fetched(service, str(made["secret_url"]).replace(token, "cft_wrong"))
    nowhere = await fetched(service, str(made["url"]).replace(source, "src_nobody"), token)

    assert (by_path.status_code, by_path.text) == (by_password.status_code, by_password.text)
    assert by_path.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_path.headers["cache-control"] == "no-store"
    assert by_path.headers["content-disposition"] == 'attachment; filename="google_ads.csv"'
    assert [each.status_code for each in (without, wrong, nowhere)] == [401, 401, 401]
    assert without.headers["www-authenticate"].startswith("Basic ")
    assert (guessed.status_code, guessed.json()["code"]) == (404, "conversion-unknown")


async def test_a_token_is_told_once_and_can_be_revoked(service: Service) -> None:
    """It is kept as a hash; a new one ends the old one, and so do pause and deletion."""
    source = await a_source(service)
    made = await reported(service, source, **GOOGLE)
    path = f"/traffic-sources/{source}/conversions/{made['id']}"

    shown = await asked(service, "GET", path)
    renewed = await asked(service, "POST", f"{path}/renew-token")
    old = await fetched(service, made["url"], str(made["token"]))
    new = await fetched(service, made["url"], str(renewed["token"]))
    await asked(service, "PATCH", path, {"state": "disabled"})
    paused = await fetched(service, made["url"], str(renewed["token"]))
    deleted = await service.admin("DELETE", path)
    after = await service.admin("GET", path)

    assert (shown["token"], shown["secret_url"]) == (None, None)
    assert (old.status_code, new.status_code, paused.status_code) == (401, 200, 401)
    assert (deleted.status_code, after.status_code) == (204, 404)
    assert str(made["token"]) not in str(service.contents())


@pytest.mark.parametrize(("days", "expected"), [(1, 0), (3, 1)])
async def test_a_file_looks_back_for_its_days(service: Service, days: int, expected: int) -> None:
    """What is older was fetched before, or the network does not take it any more."""
    source = await a_source(service)
    made = await reported(service, source, **GOOGLE, days=days)
    site = await service.pool(*NUMBERS, traffic_sources=[source])
    await qualified(site, "ann")
    service.clock.advance(seconds=2 * 86_400)

    lines = rows(await fetched(service, made["secret_url"]))[1:]

    assert len(lines) == expected


async def test_a_file_is_edited(service: Service) -> None:
    """Its columns follow; settings of targets are refused."""
    source = await a_source(service)
    made = await reported(service, source, **GOOGLE)
    path = f"/traffic-sources/{source}/conversions/{made['id']}"

    edited = await asked(service, "PATCH", path, {"click_ids": ["wbraid"], "consent": "denied"})
    wrong = await service.admin("PATCH", path, {"rate_limit": 5})
    header = rows(await fetched(service, made["secret_url"]))[0]

    assert edited["settings"]["click_ids"] == ["wbraid"]  # type: ignore[index]
    assert wrong.status_code == 422
    assert header == [
        "WBRAID", "Conversion Name", "Conversion Time", "Conversion Value", "Conversion Currency",
        "Ad User Data", "Ad Personalization",
    ]  # fmt: skip


async def test_files_that_are_made_at_once_are_all_there(service: Service) -> None:
    """Whoever was not refused has a file: none was written over by the next."""
    source = await a_source(service)
    path = f"/traffic-sources/{source}/conversions"

    answers = await asyncio.gather(*(service.admin("POST", path, GOOGLE) for _ in range(5)))

    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    listed = (await service.admin("GET", path)).json()["conversions"]
    assert made
    assert {each["id"] for each in listed} == made
    assert {answer.status_code for answer in answers} <= {201, 409}
