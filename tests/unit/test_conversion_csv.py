"""Files of offline conversions, column by column as Google Ads and Microsoft document them."""

import csv
import io
from dataclasses import replace

import pytest

from dni_allocator.conversions.csv import written
from dni_allocator.domain.conversion import Conversion
from dni_allocator.domain.conversion_file import ConversionFile, hashed

# 2026-11-23T00:05:07Z
MIDNIGHT_MS = 1_795_392_307_000
CALL = Conversion(
    event_id="evt_s0_1-0", call_id="call_a_1", pool_id="pool_a", number="+16025550103",
    caller="+16025550177", started_ms=MIDNIGHT_MS, duration_s=95, outcome="sale", value=None,
    currency="", visitor_id="visitor-1", lease_id="", url="", referrer="",
)  # fmt: skip
GOOGLE = ConversionFile(
    id="cnv_1", kind="google_ads", conversion_name="Phone call, qualified", token_sha256="",
    created_ms=1,
)  # fmt: skip
MICROSOFT = replace(GOOGLE, kind="microsoft_ads")


def told(**fields: str) -> Conversion:
    """A call of a visitor whose page told this."""
    return replace(CALL, fields=fields)


def rows(file: ConversionFile, *calls: Conversion) -> list[list[str]]:
    """The file as a spreadsheet reads it."""
    return list(csv.reader(io.StringIO(written(file, calls), newline="")))


def test_google_reads_its_columns() -> None:
    """The first line names them; a time carries its offset; each row has one click id."""
    calls = [
        told(gclid="EAIaIQobChMI"),
        replace(told(wbraid="CjwK_w-1"), value=120.5, currency="usd"),
        told(gbraid="0AAAA", gclid="Cj0K"),
        told(msclkid="7a1b"),
        CALL,
    ]

    header, *lines = rows(GOOGLE, *calls)

    assert header == [
        "Google Click ID", "GBRAID", "WBRAID", "Conversion Name", "Conversion Time",
        "Conversion Value", "Conversion Currency",
    ]  # fmt: skip
    name, at = "Phone call, qualified", "2026-11-23 00:05:07+0000"
    assert lines == [
        ["EAIaIQobChMI", "", "", name, at, "", ""],
        ["", "", "CjwK_w-1", name, at, "120.50", "USD"],
        ["Cj0K", "", "", name, at, "", ""],
    ]


def test_google_reads_the_template_of_click_ids_alone() -> None:
    """With `gclid` only, the file is the documented template; consent adds its two columns."""
    file = replace(GOOGLE, click_ids=("gclid",), consent="granted", value=25, currency="EUR")

    header, *lines = rows(file, told(gclid="EAIa"), told(wbraid="Cj"))

    assert header == [
        "Google Click ID", "Conversion Name", "Conversion Time", "Conversion Value",
        "Conversion Currency", "Ad User Data", "Ad Personalization",
    ]  # fmt: skip
    assert [line[0] for line in lines] == ["EAIa"]
    assert lines[0][3:] == ["25.00", "EUR", "Granted", "Granted"]


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (MIDNIGHT_MS, "11/23/2026 12:05:07 AM"),
        (MIDNIGHT_MS + 12 * 3_600_000, "11/23/2026 12:05:07 PM"),
        (MIDNIGHT_MS + 18 * 3_600_000, "11/23/2026 6:05:07 PM"),
        (MIDNIGHT_MS - 20 * 86_400_000 + 34 * 3_600_000, "11/4/2026 10:05:07 AM"),
    ],
)
def test_microsoft_reads_its_columns(at_ms: int, expected: str) -> None:
    """A row with the time zone, then the columns; months and hours without a leading zero."""
    call = replace(told(msclkid="f894f652ea334e739002f7167ab8f8e3"), started_ms=at_ms)

    zone, header, *lines = rows(MICROSOFT, call, told(gclid="EAIa"))

    assert zone == ["Parameters:TimeZone=+0000"]
    assert header == [
        "Microsoft Click ID", "Conversion Name", "Conversion Time", "Conversion Value",
        "Conversion Currency",
    ]  # fmt: skip
    assert lines == [
        ["f894f652ea334e739002f7167ab8f8e3", "Phone call, qualified", expected, "", ""]
    ]


@pytest.mark.parametrize("click", ["=1+1", "-2+3", "+cmd", "@SUM(A1)", "a b", 'a"b', "a,b\n", ""])
def test_what_is_no_click_id_is_left_out(click: str) -> None:
    """A page reports what it likes; somebody opens the file in a spreadsheet."""
    assert rows(GOOGLE, told(gclid=click))[1:] == []
    assert rows(MICROSOFT, told(msclkid=click))[2:] == []


def test_nothing_personal_is_in_a_file() -> None:
    """Google and Microsoft want none, and who has the token need not know who called."""
    for file in (GOOGLE, MICROSOFT):
        text = written(file, [told(gclid="EAIa", msclkid="7a1b", email="ann@example.com")])

        assert "EAIa" in text or "7a1b" in text
        assert "6025550" not in text
        assert "visitor-1" not in text
        assert "@" not in text


def test_a_file_opens_for_its_token_only() -> None:
    """And for nobody while it is disabled."""
    file = replace(GOOGLE, token_sha256=hashed("cft_right"))

    assert file.opens_for("cft_right")
    assert not file.opens_for("cft_wrong")
    assert not file.opens_for("")
    assert not replace(file, state="disabled").opens_for("cft_right")
