"""Marketing data: the dictionary of a pool, and what a referrer tells of a search."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from dni_allocator.domain.recognition import engine_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketingField:
    """A field to keep, and where the tag finds it on a page.

    Attributes:
        name: as the lease has it.
        source: `parameter`, `cookie`, `variable` or `data_layer`; None: the field comes by itself.
        key: its name there, with dots for a path; empty: as `name`.
        touch: `first` keeps the first value a browser saw, `last` the latest.
    """

    name: str
    source: str | None = None
    key: str | None = None
    touch: str = "last"


Entry = str | MarketingField


def entry_of(written: str | Mapping[str, str | None]) -> Entry:
    """An entry of the dictionary from its JSON form: a plain name, or an object."""
    if isinstance(written, str):
        return written
    return MarketingField(
        name=str(written["name"]),
        source=written.get("source"),
        key=written.get("key"),
        touch=written.get("touch") or "last",
    )


def names_of(entries: Iterable[Entry]) -> frozenset[str]:
    """The names of the fields to keep."""
    return frozenset(each if isinstance(each, str) else each.name for each in entries)


_KEYWORD_PARAMETERS: Final = ("q", "p", "query", "text", "wd")
"""Where engines that still tell put what was searched for."""


def search_of(referrer: str) -> dict[str, str]:
    """`search_engine`, and `search_keyword` where given; empty for any other referrer."""
    try:
        parts = urlsplit(referrer)
        engine = engine_of((parts.hostname or "").rstrip("."))
    except ValueError:
        return {}
    if engine is None:
        return {}
    fields = {"search_engine": engine}
    asked = parse_qs(parts.query, max_num_fields=None)
    for name in _KEYWORD_PARAMETERS:
        if name in asked:
            fields["search_keyword"] = asked[name][0][:512]
            break
    return fields
