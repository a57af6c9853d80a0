"""Files of offline conversions, as Google Ads and Microsoft Advertising fetch them on a schedule.

Google Ads, after https://support.google.com/google-ads/answer/7014069 ("Import conversions from ad
clicks into Google Ads using files") and
https://support.google.com/google-ads-data-manager/answer/14184381 ("Prepare your data for import"),
seen in November 2026: the first line names the columns; each time carries its offset
(`yyyy-MM-dd HH:mm:ss+z`), which makes the row `Parameters:TimeZone` needless; one click id a row; a
conversion that was imported before, by click id, name and time, is not counted again; nothing
personal in it.

Microsoft Advertising, after https://learn.microsoft.com/en-us/advertising/bulk-service/offline-conversion
and the template of its own import (https://help.ads.microsoft.com/#apex/ads/en/56852/2), seen in
November 2026: a row `Parameters:TimeZone=+0000`, then the columns; times such as
`4/1/2020 6:50:54 PM`; the first of a click id and a time counts.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable
from typing import Final

from dni_allocator.domain.conversion import Conversion
from dni_allocator.domain.conversion_file import ClickId, ConversionFile
from dni_allocator.domain.moment import moment

_CLICK_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,511}")
"""Whatever else a page reports is no click id, and might be a formula to a spreadsheet."""

_GOOGLE_COLUMNS: Final = {"gclid": "Google Click ID", "gbraid": "GBRAID", "wbraid": "WBRAID"}
_CONVERSION: Final = (
    "Conversion Name",
    "Conversion Time",
    "Conversion Value",
    "Conversion Currency",
)
_CONSENT: Final = ("Ad User Data", "Ad Personalization")


def written(file: ConversionFile, conversions: Iterable[Conversion]) -> str:
    """The file. Calls without a click id that it is for are left out."""
    return _WRITERS[file.kind](file, conversions)


def _google(file: ConversionFile, conversions: Iterable[Conversion]) -> str:
    consent = () if file.consent is None else (file.consent.capitalize(),) * 2
    columns = [_GOOGLE_COLUMNS[name] for name in file.click_ids]
    rows = [[*columns, *_CONVERSION, *(_CONSENT if consent else ())]]
    for conversion in conversions:
        click = _google_click(file.click_ids, conversion)
        if click is not None:
            at = f"{moment(conversion.started_ms):%Y-%m-%d %H:%M:%S}+0000"
            rows.append([*click, file.conversion_name, at, *_worth(file, conversion), *consent])
    return _text(rows)


def _google_click(names: Iterable[ClickId], conversion: Conversion) -> list[str] | None:
    """The cells of the click ids: the first that is known, alone."""
    told = conversion.told
    found = {name: told.get(name) for name in names}
    chosen = next((name for name, value in found.items() if _CLICK_ID.fullmatch(value)), None)
    if chosen is None:
        return None
    return [value if name == chosen else "" for name, value in found.items()]


def _microsoft(file: ConversionFile, conversions: Iterable[Conversion]) -> str:
    rows = [["Parameters:TimeZone=+0000"], ["Microsoft Click ID", *_CONVERSION]]
    for conversion in conversions:
        click = conversion.told.get("msclkid")
        if _CLICK_ID.fullmatch(click):
            at = moment(conversion.started_ms)
            hour = at.hour % 12 or 12
            said = (
                f"{at.month}/{at.day}/{at.year} {hour}:{at:%M:%S} {'AM' if at.hour < 12 else 'PM'}"  # noqa: PLR2004 -- noon
            )
            rows.append([click, file.conversion_name, said, *_worth(file, conversion)])
    return _text(rows)


_WRITERS: Final[dict[str, Callable[[ConversionFile, Iterable[Conversion]], str]]] = {
    "google_ads": _google,
    "microsoft_ads": _microsoft,
}


def _worth(file: ConversionFile, conversion: Conversion) -> tuple[str, str]:
    """Value and currency; left empty, the conversion action's own count."""
    own = conversion.value is not None
    value = conversion.value if own else file.value
    currency = (conversion.currency if own else "") or file.currency
    return ("", "") if value is None else (f"{value:.2f}", currency.upper())


def _text(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
