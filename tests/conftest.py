"""Fixtures every test may take. They live in tests/support; this file only makes them known."""

from tests.support.valkey import redis_client, redis_url, valkey_server

__all__ = ["redis_client", "redis_url", "valkey_server"]
