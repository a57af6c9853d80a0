"""The running service, for tests of this folder."""

from tests.support.service import service

__all__ = ["service"]
