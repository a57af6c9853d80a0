"""Whole numbers in texts of others."""

import pytest

from dni_allocator.domain.digits import whole


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), (str(2**64 - 1), 2**64 - 1)])
def test_digits_are_a_number(text: str, number: int) -> None:
    """Up to the largest that Redis knows."""
    assert whole(text) == number


@pytest.mark.parametrize(
    "text", ["", " 1", "-1", "+1", "1_0", "1.0", "²", "٣", "\uff19", str(2**64), "9" * 5000]
)
def test_all_else_is_none(text: str) -> None:
    """Also what Python takes for digits, and what it refuses to count."""
    assert whole(text) is None
