"""Who takes gzip, by `Accept-Encoding`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.api.encoding import takes_gzip


@pytest.mark.parametrize(
    "header",
    ["gzip", "GZIP", "x-gzip", "*", "br, gzip", "gzip;q=0.5", "gzip ; q=1.000", "*;q=0.1",
     "gzip;q=0.8, identity;q=0.8"],
)  # fmt: skip
def test_gzip_is_sent_to_whoever_takes_it(header: str) -> None:
    """Named, or meant by an asterisk; in whatever case and with whatever weight."""
    assert takes_gzip([header])


@pytest.mark.parametrize(
    "header",
    ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "gzip;q=0, *", "*;q=0", "gzipped",
     "gzip;q=0.5, identity", "gzip;q=", "gzip;q=nan", "gzip;q=-1", "gzip;q=2", "gzip;level=9",
     "gzip;q=1;q=1"],
)  # fmt: skip
def test_gzip_is_not_sent_to_others(header: str) -> None:
    """Refused by its weight, liked less than the plain file, not named, or not readable."""
    assert not takes_gzip([header])


def test_header_in_several_lines_is_one_list() -> None:
    """A proxy may split it."""
    assert takes_gzip(["br", "gzip"])
    assert not takes_gzip([])


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255)), max_size=3))
def test_no_header_is_an_error(headers: list[str]) -> None:
    """Whatever a stranger sends, the script is served."""
    takes_gzip(headers)
