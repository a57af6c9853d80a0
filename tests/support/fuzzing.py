"""How much is fuzzed, what is drawn, and the service on which it is tried.

`make test` draws the same examples each time, a hundred of each kind; `make fuzz` draws thousands
by a seed, and a run with the same seed draws the same. How many there were is counted where they
are tried, and said at the end (tests/fuzz/conftest.py).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import httpx
import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings

from tests.support import invariants
from tests.support.service import ORIGIN, Service, serving

AT_LENGTH: Final = "DNI_FUZZ_EXAMPLES" in os.environ
EXAMPLES: Final = int(os.environ.get("DNI_FUZZ_EXAMPLES", "100"))

T = TypeVar("T")


def fuzz(examples: int = EXAMPLES) -> settings:
    """Settings of a test that draws so many."""
    return settings(
        max_examples=max(1, examples), deadline=None, database=None, derandomize=not AT_LENGTH,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip


FUZZ: Final = fuzz()

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
"""All that UTF-8 can say."""

PHONEISH: Final = st.text("+0123456789 ()-./x#;=abcext\u0660\uff11\u2010\x00", max_size=45)

# Only dots are no id: a client of HTTP takes them out of a path.
CLIENT_ID: Final = st.from_regex(r"[A-Za-z0-9_.~-]{1,128}", fullmatch=True).filter(
    lambda text: text.strip(".") != ""
)

JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip

Count = Callable[[str], None]
"""One more case of a kind: kinds are what the report tells apart."""


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Iterator[Count]:
    """Counts cases of this test, by kind; the report adds them up."""
    cases: Counter[str] = Counter()

    def one(kind: str) -> None:
        cases[kind] += 1

    yield one
    for kind, number in cases.items():
        record_property(f"cases of {kind}", number)


class Bench:
    """The service on a loop of its own: Hypothesis knows no coroutines."""

    def __init__(self, redis_url: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.service: Service = self.run(self._stack.enter_async_context(serving(redis_url)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, on the service's loop."""
        return self._runner.run(work)

    def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, read whole."""
        return self.run(self.service.http.send(request))

    def post(self, path: str, body: bytes) -> httpx.Response:
        """What a page gets."""
        return self.run(self.service.http.post(path, content=body, headers={"Origin": ORIGIN}))

    def admin(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """What an operator gets."""
        return self.run(self.service.admin(method, path, body, **headers))

    def close(self) -> None:
        """Stop the service and its loop."""
        self.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    """The service, without a pool; what it kept is whole at the end."""
    opened = Bench(redis_url)
    yield opened
    opened.close()
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)
