"""Fixtures of these tests: the service in this process, and the program itself."""

from tests.support.program import port, serve
from tests.support.service import service

__all__ = ["port", "serve", "service"]
