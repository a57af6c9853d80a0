"""The running service, for tests of this folder."""

from tests.support.program import port, serve
from tests.support.service import service

__all__ = ["port", "serve", "service"]
