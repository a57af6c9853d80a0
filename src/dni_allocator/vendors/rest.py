"""Calls of a vendor's REST interface: time and size limits, retries, what an answer means.

A question that changes nothing is asked again after any failure. One that buys is asked again only
where the vendor surely did not act on it: no connection, or 429. Everything else leaves doubt,
which the caller resolves by looking, never by asking again. Knows nothing of numbers.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import stamina
from pydantic import BaseModel, ValidationError

from dni_allocator.domain.errors import VendorRefused, VendorUnavailable

LARGEST_ANSWER: Final = 8 * 1024 * 1024
"""Bytes; a page of a thousand numbers has about two megabytes."""

_CONNECT_S: Final = 5.0

REQUESTS: Final[Counter[tuple[str, str, str]]] = Counter()
"""(vendor, kind of question, outcome) of each try, of the whole process; for the metrics.

Kinds: `read`, `drop`, `repeat`, `act`, the methods of `Rest`."""

M = TypeVar("M", bound=BaseModel)
Params = Mapping[str, str | int] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often. Seconds."""

    answer_s: float = 15.0
    attempts: int = 4
    within_s: float = 30.0
    first_wait_s: float = 0.25


class Overloaded(VendorUnavailable):
    """The vendor asks to come back later, and says when, if it does."""

    after_s: float | None = None


class NotReached(VendorUnavailable):
    """No connection: the vendor knows nothing of the question."""


class InDoubt(VendorUnavailable):
    """No answer, or one that says nothing: the vendor may have acted."""


class Refused(VendorRefused):
    """The vendor's no. `status` is that of HTTP, `vendor_code` the vendor's own, if it gave one."""

    def __init__(self, detail: str, *, status: int, body: bytes) -> None:
        super().__init__(detail)
        self.status = status
        self.body = body


_OUTCOMES: Final[Mapping[type[Exception], str]] = {
    Overloaded: "overloaded",
    NotReached: "not_reached",
    InDoubt: "in_doubt",
    Refused: "refused",
}


class Rest:
    """One vendor's interface at one address. Connections are kept; close it when done."""

    def __init__(
        self,
        base_url: str,
        *,
        vendor: str,
        auth: httpx.Auth | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._vendor = vendor
        self._patience = patience or Patience()
        self._client = httpx.AsyncClient(
            base_url=base_url,
            auth=auth,
            # Not packed: what is read is what is kept, so a small answer cannot become a large one.
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            timeout=httpx.Timeout(self._patience.answer_s, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=8),
            # Neither a proxy nor a netrc of the environment, and no address but the configured one.
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        await self._client.aclose()

    async def read(self, path: str, model: type[M], *, params: Params | None = None) -> M:
        """GET, as often as it takes. Raises `VendorUnavailable`, `VendorRefused`."""
        return _parsed(await self._insist("read", "GET", path, params=params), model, self._vendor)

    async def drop(self, path: str) -> bool:
        """DELETE, as often as it takes; False when it is not there (any more)."""
        try:
            await self._insist("drop", "DELETE", path)
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    async def repeat(self, path: str, *, json: object) -> None:
        """POST what the vendor does once, however often it is asked. Raises as `read`."""
        await self._insist("repeat", "POST", path, json=json)

    async def act(
        self,
        path: str,
        model: type[M],
        *,
        form: Mapping[str, str] | None = None,
        json: object = None,
        method: str = "POST",
    ) -> M:
        """POST what must not happen twice. Raises `InDoubt` where it may have happened."""
        return _parsed(
            await self._insist("act", method, path, form=form, json=json, safe=False),
            model,
            self._vendor,
        )

    async def _insist(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        form: Mapping[str, str] | None = None,
        json: object = None,
        safe: bool = True,
    ) -> bytes:
        def again(error: Exception) -> bool | float | timedelta:
            if isinstance(error, Overloaded) and error.after_s is not None:
                return min(error.after_s, self._patience.within_s)
            return isinstance(error, (Overloaded, NotReached)) or (
                safe and isinstance(error, InDoubt)
            )

        # A context, not a decorator: what is repeated gets into no log line with its arguments.
        async for attempt in stamina.retry_context(
            on=again,
            attempts=self._patience.attempts,
            timeout=self._patience.within_s,
            wait_initial=self._patience.first_wait_s,
            wait_jitter=self._patience.first_wait_s,
        ):
            with attempt:
                try:
                    body = await self._once(method, path, params=params, form=form, json=json)
                except (VendorUnavailable, VendorRefused) as error:
                    self._count(kind, _OUTCOMES.get(type(error), "failed"))
                    raise
                self._count(kind, "ok")
                return body
        raise InDoubt(f"{self._vendor} was not asked.")  # for mypy: the loop returns or raises

    def _count(self, kind: str, outcome: str) -> None:
        REQUESTS[self._vendor.lower(), kind, outcome] += 1

    async def _once(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        form: Mapping[str, str] | None,
        json: object,
    ) -> bytes:
        body = bytearray()
        try:
            # httpx waits so long for each part, for ever in sum.
            async with (
                asyncio.timeout(self._patience.answer_s),
                self._client.stream(
                    method, path, params=_query(params), data=form, json=json
                ) as answer,
            ):
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        raise InDoubt(f"{self._vendor} answered more than we read.")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotReached(f"{self._vendor} cannot be reached.") from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise InDoubt(f"{self._vendor} did not answer ({type(error).__name__}).") from error
        return self._judged(answer, bytes(body))

    def _judged(self, answer: httpx.Response, body: bytes) -> bytes:
        if answer.is_success:
            return body
        status = answer.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            overloaded = Overloaded(f"{self._vendor} asks to come back later.")
            overloaded.after_s = _seconds(answer.headers.get("retry-after", ""))
            raise overloaded
        if answer.is_server_error or answer.is_redirect or status == HTTPStatus.REQUEST_TIMEOUT:
            raise InDoubt(f"{self._vendor} answered {status}.")
        raise Refused(f"{self._vendor} refused with {status}.", status=status, body=body)


def _query(params: Params | None) -> httpx.QueryParams | None:
    if params is None:
        return None
    pairs = params.items() if isinstance(params, Mapping) else params
    return httpx.QueryParams([(name, str(value)) for name, value in pairs])


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


def _parsed(body: bytes, model: type[M], vendor: str) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # Without the input: it may name numbers.
        raise InDoubt(f"{vendor} answered something else ({error.error_count()}).") from None
