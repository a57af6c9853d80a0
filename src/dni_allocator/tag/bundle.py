"""The built tag as bytes: read once, with version and integrity hash, and with a pool's settings.

Owns the file in `dist/` and the one statement that may stand in front of it. Must not know where a
pool's settings come from, nor under which paths and headers the bytes are served.
"""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from dni_allocator import __version__

_TAG: Final = "dist/dni.js"
_MORE: Final = "dist/more.js"

_FEWEST_DIGITS: Final = 5
"""Fewer digits are no phone number that one may replace wherever they stand."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The tag as it is served under its version, byte for byte.

    Attributes:
        body: UTF-8 JavaScript.
        gzipped: the same compressed, as small as it gets; most browsers are sent this.
        version: the package's version, which is also in the first line of `body`.
        integrity: value of a script element's `integrity` attribute (Subresource Integrity). It
            holds for `body` only, not for what `render` makes of it. Browsers check what they
            have unpacked, so it holds for `gzipped` as well.
    """

    body: bytes
    gzipped: bytes
    version: str
    integrity: str


@dataclass(frozen=True, slots=True)
class TagDestination:
    """A number the tag looks for on the page.

    Attributes:
        e164: the destination, as `/assign` takes it.
        digits: digit strings by which a page may write it, e.g. `("16025550100", "6025550100")`;
            the one of `e164` may be left out. A national form's trunk prefix is part of its string
            (`02079460001`).
    """

    e164: str
    digits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TagField:
    """A marketing field and where a page has it.

    Attributes:
        name: as `/assign` gets it.
        source: `parameter`, `cookie`, `variable` or `data_layer`.
        key: its name there; for the last two a path with dots.
        touch: `first` keeps the first value this browser saw, `last` the latest.
    """

    name: str
    source: str
    key: str
    touch: str


@dataclass(frozen=True, slots=True)
class TagConfig:
    """What the tag has to know of a pool. All of it is public: it is written into a script.

    Attributes:
        key: publishable key (`pk_…`).
        origin: scheme, host and port of this service as browsers reach it, no slash at the end.
        destinations: in the order of the pool's allow-list.
        format: `mirror` keeps the page's own punctuation; with any other the tag shows each
            number's `display`.
        fields: what the tag is to collect beyond what it always does.
    """

    key: str
    origin: str
    destinations: tuple[TagDestination, ...]
    format: str = "mirror"
    fields: tuple[TagField, ...] = ()


@cache
def load() -> Bundle:
    """Read the tag. Reads the file on the first call only.

    Raises:
        FileNotFoundError: the package was built without its bundle.
    """
    return _read(_TAG)


@cache
def load_more() -> Bundle:
    """Read the second file, which the tag loads where it is needed."""
    return _read(_MORE)


def _read(name: str) -> Bundle:
    body = resources.files(__package__).joinpath(name).read_bytes()
    digest = base64.b64encode(hashlib.sha384(body).digest()).decode("ascii")
    return Bundle(
        body=body,
        gzipped=gzip.compress(body, 9, mtime=0),
        version=__version__,
        integrity=f"sha384-{digest}",
    )


def settings(config: TagConfig, *, pinned: bool = False) -> str:
    """A pool's settings as the tag reads them: JSON, fit for a script and for an attribute.

    With `pinned` the hash of the second file is among them: a page that checks the tag checks that
    file, too. No value can end a statement or a script element around it: `<` and everything
    outside ASCII (U+2028 and U+2029 among it) are escaped.
    """
    record: dict[str, object] = {
        "key": config.key,
        "origin": config.origin,
        "destinations": [
            [each.e164, *(form for form in each.digits if len(form) >= _FEWEST_DIGITS)]
            for each in config.destinations
        ],
        "format": config.format,
    }
    if config.fields:
        record["more"] = 1
        record["fields"] = [
            [each.name, each.source, each.key, each.touch] for each in config.fields
        ]
    if pinned:
        record["pin"] = load_more().integrity
    return json.dumps(record, separators=(",", ":")).replace("<", "\\u003c")


def render(config: TagConfig) -> bytes:
    """Put a pool's settings in front of the bundle: the body of the unpinned `/tag.js?key=…`."""
    # Being first, it is the one that decides about strict mode.
    statement = f'"use strict";(window.dniConfig=window.dniConfig||[]).push({settings(config)});\n'
    return statement.encode("ascii") + load().body
