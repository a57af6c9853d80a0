"""The built tag as bytes: read once, with version and integrity hash, and with a pool's settings.

Owns the file in `dist/` and the one statement that may stand in front of it. Must not know where a
pool's settings come from, nor under which paths and headers the bytes are served.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from dni_allocator import __version__

_BUNDLE: Final = "dist/dni.js"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The tag as it is served under its version, byte for byte.

    Attributes:
        body: UTF-8 JavaScript.
        version: the package's version, which is also in the first line of `body`.
        integrity: value of a script element's `integrity` attribute (Subresource Integrity). It
            holds for `body` only, not for what `render` makes of it.
    """

    body: bytes
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
class TagConfig:
    """What the tag has to know of a pool. All of it is public: it is written into a script.

    Attributes:
        key: publishable key (`pk_…`).
        origin: scheme, host and port of this service as browsers reach it, no slash at the end.
        destinations: in the order of the pool's allow-list.
        format: `mirror` keeps the page's own punctuation; with any other the tag shows each
            number's `display`.
    """

    key: str
    origin: str
    destinations: tuple[TagDestination, ...]
    format: str = "mirror"


@cache
def load() -> Bundle:
    """Read the bundle. Reads the file on the first call only.

    Raises:
        FileNotFoundError: the package was built without its bundle.
    """
    body = resources.files(__package__).joinpath(_BUNDLE).read_bytes()
    digest = base64.b64encode(hashlib.sha384(body).digest()).decode("ascii")
    return Bundle(body=body, version=__version__, integrity=f"sha384-{digest}")


def render(config: TagConfig) -> bytes:
    """Put a pool's settings in front of the bundle: the body of the unpinned `/tag.js?key=…`.

    No value of the settings can end the statement or a script element around it: they are JSON with
    `<` and everything outside ASCII (U+2028 and U+2029 among it) escaped.
    """
    settings = json.dumps(
        {
            "key": config.key,
            "origin": config.origin,
            "destinations": [
                {"e164": each.e164, "digits": list(each.digits)} for each in config.destinations
            ],
            "format": config.format,
        },
        separators=(",", ":"),
    ).replace("<", "\\u003c")
    # Being first, it is the one that decides about strict mode.
    statement = f'"use strict";(window.dniConfig=window.dniConfig||[]).push({settings});\n'
    return statement.encode("ascii") + load().body
