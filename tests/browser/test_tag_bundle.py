"""The committed bundle: fresh, small, the same in both of its ways onto a page."""

import base64
import gzip
import hashlib
import json
import re

import pytest

from dni_allocator import __version__
from dni_allocator.tag import bundle
from tests.browser.conftest import Visit
from tests.support import tagbuild

LARGEST_GZIP = 5 * 1024


def test_bundle_is_what_the_source_gives() -> None:
    """Whoever changes the source commits the bundle too: `python -m tests.support.tagbuild`."""
    assert not tagbuild.is_stale()


def test_bundle_is_small() -> None:
    """The tag's budget: what a page load pays for it."""
    loaded = bundle.load()

    assert len(loaded.gzipped) <= LARGEST_GZIP
    assert gzip.decompress(loaded.gzipped) == loaded.body


def test_bundle_says_what_it_is() -> None:
    """Name, version and licence stand in the first line of whatever is served."""
    first_line = bundle.load().body.splitlines()[0].decode()

    assert first_line == f"/*! dni_allocator tag {__version__} | Apache-2.0 */"


def test_integrity_is_the_hash_that_browsers_check() -> None:
    """Subresource Integrity: base64 of SHA-384 over the served bytes."""
    loaded = bundle.load()

    digest = base64.b64decode(loaded.integrity.removeprefix("sha384-"))
    assert digest == hashlib.sha384(loaded.body).digest()


def test_settings_cannot_leave_their_statement() -> None:
    """Values that would end a script or a line of it are escaped, and read back unchanged."""
    key = "</script><!--\u2028\u2029\"'\\"
    config = bundle.TagConfig(
        key=key, origin="https://dni.example", destinations=(bundle.TagDestination("+1602"),)
    )

    statement = bundle.render(config).removesuffix(bundle.load().body).decode("ascii")

    assert "<" not in statement
    assert statement.count("\n") == 1
    pushed = re.fullmatch(r'"use strict";\(.*\)\.push\((\{.*\})\);\n', statement)
    assert pushed is not None
    assert json.loads(pushed[1])["key"] == key


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_pinned_tag_runs_under_its_integrity_hash(each_visit: Visit) -> None:
    """The versioned file, sent gzipped, its hash and `data-` attributes do what the tag does."""
    await each_visit.open(
        '<p id="number">(602) 555-0100</p><p id="london">020 7946 0001</p>',
        snippet=each_visit.standin.pinned_snippet(bundle.load().integrity),
    )

    await each_visit.shows("(602) 555-0123")
    await each_visit.shows("020 7946 0789", "#london")
    assert each_visit.standin.heard("/assign")[0].body["v"] == __version__


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_tag_that_was_tampered_with_does_not_run(each_visit: Visit) -> None:
    """With another hash the browser refuses the file, and the page is as its author made it."""
    other = base64.b64encode(hashlib.sha384(b"another file").digest()).decode()
    page = await each_visit.open(
        '<p id="number">(602) 555-0100</p>',
        snippet=each_visit.standin.pinned_snippet(f"sha384-{other}"),
    )

    assert await page.evaluate("typeof window.dni") == "undefined"
    assert await each_visit.text() == "(602) 555-0100"
