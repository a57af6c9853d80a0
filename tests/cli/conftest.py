"""Commands that run in the test's own process set up its logs; afterwards nothing is left of that.

The runner gives a command a standard error of its own, and closes it: whoever logged next in this
process would write into a closed file.
"""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Take back what a command set up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
