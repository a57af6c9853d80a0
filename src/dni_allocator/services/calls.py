"""Calls: record them with the attribution they have, bring them up to date, list them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import orjson

from dni_allocator.domain.attribution import Basis, Holder
from dni_allocator.domain.call import (
    STARTED,
    Call,
    CallFilter,
    CallUpdate,
    Claim,
    NewCall,
    Rule,
    changed,
    entry,
    pool_of_call,
)
from dni_allocator.domain.errors import (
    CallUnknown,
    EditConflict,
    InvalidRequest,
    NumberUnknown,
    PoolUnknown,
)
from dni_allocator.domain.lease import lease_id
from dni_allocator.domain.pool import PoolSettings
from dni_allocator.domain.traffic_source import Source
from dni_allocator.services.attribution import (
    CLOCK_TOLERANCE_MS,
    NUMBER_UNKNOWN,
    Attribution,
    AttributionService,
)
from dni_allocator.services.ids import call_id_for, new_call_id
from dni_allocator.services.paging import Page, packed, unpacked
from dni_allocator.store.calls import CallStore, Hold, PoolGone, Suspicion, Unsteady
from dni_allocator.store.pools import PoolStore

CALL_UNKNOWN: Final = "No call has this id, or it is not kept any more."
_ATTEMPTS: Final = 5
_CHUNK: Final = 100
MOST_EXAMINED: Final = 2_000
"""Calls that one page looks at, at most, however few of them are wanted."""

_BY_LEASE: Final = frozenset({Basis.LIVE, Basis.CLOSING, Basis.ENDED})
SURE_ENOUGH: Final = 0.5
"""From this confidence on, what is remembered of a caller is replaced by their new call."""
LATE_MS: Final = 3_600_000
"""A call that is recorded later than this after it rang tells nothing about leaks."""


@dataclass(frozen=True, slots=True)
class Started:
    """A call that is on record; `created`: by this very request."""

    call: Call
    created: bool


class Calls:
    """Calls as backends and telephony handle them. Raises `StoreUnavailable` throughout."""

    def __init__(
        self, *, store: CallStore, attribution: AttributionService, pools: PoolStore
    ) -> None:
        self._store = store
        self._attribution = attribution
        self._pools = pools

    async def start(
        self, new: NewCall, *, reaches: Callable[[str], bool] = lambda _: True
    ) -> Started:
        """Record a call; its attribution, and where to route it, are fixed from now on.

        The number is held for its visitor for a while. Idempotent by the provider's name of the
        call, if it has one. `reaches` says which pools may be touched; a number of another one is
        as unknown as any. Raises `NumberUnknown`, `InvalidNumber` for a caller that is none,
        `InvalidRequest` for a time in the future or before the retention.
        """
        known = None
        if new.provider_call_id:
            known = await self.find_by_provider(new.provider, new.provider_call_id)
            if known is not None and reaches(known.pool_id):
                return Started(known, created=False)
        for _ in range(_ATTEMPTS):
            found = await self._attribution.attribute(
                new.number, at_ms=new.started_ms, caller=new.caller, at_field="started_at"
            )
            if not reaches(found.pool.id):
                raise NumberUnknown(NUMBER_UNKNOWN)
            if found.at_ms <= found.now_ms - self._store.retention_ms:
                raise InvalidRequest.at("started_at", "Lies before the retention of calls.")
            call = _recorded(new, found)
            best = found.candidates[0] if found.candidates else None
            outcome = await self._store.start(
                call,
                event=entry(STARTED, call),
                caller=found.caller,
                holder=None if best is None else best.holder,
                overwrites=found.basis in _BY_LEASE and found.confidence >= SURE_ENOUGH,
                hold=_hold(call, found.pool.settings, since_ms=call.started_ms),
                suspicion=_suspicion(found),
            )
            if isinstance(outcome, PoolGone):
                message = "The pool of this number was deleted."
                raise NumberUnknown(message)
            if isinstance(outcome, Unsteady):
                continue
            # A name that stands for a call of a pool out of reach goes on standing for that one.
            if new.provider_call_id and known is None:
                await self._store.bind(new.provider, new.provider_call_id, outcome)
            # A command that was sent twice finds what it wrote itself.
            return Started(outcome, created=outcome == call)
        raise _busy()

    async def find(self, call_id: str) -> Call:
        """A call, while it is kept. Raises `CallUnknown`."""
        pool_id = pool_of_call(call_id)
        found = None if pool_id is None else await self._store.read(pool_id, call_id)
        if found is None:
            raise _unknown()
        return found.call

    async def find_by_provider(self, provider: str, provider_call_id: str) -> Call | None:
        """The call that a provider knows by this name."""
        call_id = await self._store.bound(provider, provider_call_id)
        if call_id is None:
            return None
        found = await self._store.read(pool_of_call(call_id) or "", call_id)
        return None if found is None else found.call

    async def update(self, call_id: str, update: CallUpdate) -> Call:
        """Note what became known of a call; the call as it is then.

        Each event is sent once, whatever is repeated. Raises `CallUnknown`, `InvalidRequest` for
        what contradicts itself.
        """
        pool_id = pool_of_call(call_id)
        for _ in range(_ATTEMPTS):
            found = None if pool_id is None else await self._store.read(pool_id, call_id)
            if found is None:
                raise _unknown()
            before = found.call
            _check(before, update, now_ms=found.now_ms)
            settings = await self._settings(before.pool_id)
            rule = Rule() if settings is None else Rule.of(settings)
            after, kinds = changed(before, update, rule=rule, now_ms=found.now_ms)
            if not kinds:
                return before
            over = after.status.final and not before.status.final
            replaced = await self._store.edit(
                found,
                after,
                events=[entry(kind, after) for kind in kinds],
                hold=_hold(after, settings if over else None, since_ms=after.ended_ms or 0),
            )
            if replaced is None:
                raise _unknown()
            if replaced:
                return after
        raise _busy()

    async def page(
        self, wanted: CallFilter, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Call]:
        """Calls that a filter admits, newest first; at most `limit`.

        A page may have fewer, even none, and a cursor all the same: it looks at 2,000 calls. Raises
        `InvalidRequest` for a cursor that is none.
        """
        behind = None if cursor is None else unpacked(cursor)
        found: list[Call] = []
        examined, chunk = 0, max(limit, _CHUNK)
        while examined < MOST_EXAMINED:
            some = await self._store.page(
                wanted.pool_ids,
                behind=behind,
                since_ms=wanted.since_ms,
                until_ms=None if wanted.until_ms is None else wanted.until_ms - 1,
                limit=chunk,
            )
            for position, call in some:
                behind = position
                if call is not None and wanted.admits(call):
                    found.append(call)
                    if len(found) == limit:
                        return Page(tuple(found), packed(*position))
            if len(some) < chunk:
                return Page(tuple(found), None)
            examined += len(some)
        return Page(tuple(found), None if behind is None else packed(*behind))

    async def all(self, wanted: CallFilter) -> AsyncIterator[tuple[Call, ...]]:
        """Every call that a filter admits, newest first, some at a time."""
        page = await self.page(wanted, limit=500)
        yield page.items
        while page.next_cursor is not None:
            page = await self.page(wanted, cursor=page.next_cursor, limit=500)
            yield page.items

    async def _settings(self, pool_id: str) -> PoolSettings | None:
        try:
            return (await self._pools.read(pool_id)).settings
        except PoolUnknown:
            return None


def _recorded(new: NewCall, found: Attribution) -> Call:
    pool_id = found.pool.id
    call_id = new_call_id(pool_id)
    if new.provider_call_id:
        call_id = call_id_for(pool_id, provider=new.provider, provider_call_id=new.provider_call_id)
    claims = tuple(
        Claim(
            visitor_id=each.holder.visitor_id,
            lease_id=_lease_id(pool_id, each.holder),
            basis=each.basis,
            confidence=each.confidence,
            reason=each.reason,
        )
        for each in found.candidates
    )
    told = {}
    if found.candidates and found.candidates[0].holder.data:
        told = orjson.loads(found.candidates[0].holder.data)
    url, referrer = told.get("url"), told.get("referrer")
    fields = told.get("fields") or {}
    source = found.sources[0] if found.sources else None
    return Call(
        id=call_id,
        pool_id=pool_id,
        number=found.number,
        caller=found.caller_number,
        provider=new.provider,
        provider_call_id=new.provider_call_id,
        route_to=found.route_to,
        started_ms=found.at_ms,
        basis=found.basis,
        confidence=found.confidence,
        visitor_id=claims[0].visitor_id if claims else "",
        lease_id=claims[0].lease_id if claims else "",
        url=url or "",
        referrer=referrer or "",
        fields=fields,
        source="" if source is None else source.kind.value,
        source_id="" if source is None else _reported_by(source, found),
        source_name="" if source is None else source.name,
        medium="" if source is None else source.medium.value,
        claims=claims,
        first_time_caller=found.caller is not None and not found.caller.known,
        updated_ms=found.at_ms,
    )


def _reported_by(source: Source, found: Attribution) -> str:
    """The operator's source that reports the call, if the attribution is sure enough for it."""
    for each in found.linked:
        if each.id == source.id and found.confidence >= each.min_confidence:
            return each.id
    return ""


def _lease_id(pool_id: str, holder: Holder) -> str:
    return "" if holder.shared else lease_id(pool_id, holder.fence)


def _hold(call: Call, settings: PoolSettings | None, *, since_ms: int) -> Hold:
    """The hold of a call's number; none without settings."""
    fence = call.lease_id.rpartition("_")[2] if call.basis in _BY_LEASE else ""
    if settings is None or not settings.hold_after_call_s:
        return Hold(fence=fence, until_ms=0, note="")
    note = orjson.dumps({"reason": "call", "since_ms": since_ms}).decode()
    return Hold(fence=fence, until_ms=since_ms + settings.hold_after_call_s * 1000, note=note)


def _suspicion(found: Attribution) -> Suspicion | None:
    settings = found.pool.settings
    if found.now_ms - found.at_ms > LATE_MS:
        return None
    if found.basis is Basis.NONE and settings.leak_calls:
        return Suspicion(
            key=f"number:{found.number}", reason="no_holder", enough=settings.leak_calls
        )
    if found.basis in _BY_LEASE and settings.leak_callers:
        fence = found.candidates[0].holder.fence
        return Suspicion(key=f"lease:{fence}", reason="many_callers", enough=settings.leak_callers)
    return None


def _check(call: Call, update: CallUpdate, *, now_ms: int) -> None:
    for name, at_ms in (("answered_at", update.answered_ms), ("ended_at", update.ended_ms)):
        if at_ms is not None and at_ms > now_ms + CLOCK_TOLERANCE_MS:
            raise InvalidRequest.at(name, "Lies in the future.")
        if at_ms is not None and at_ms < call.started_ms - CLOCK_TOLERANCE_MS:
            raise InvalidRequest.at(name, "Lies before the call.")
    if update.value is not None and not (update.currency or call.currency):
        raise InvalidRequest.at("currency", "A value needs one.")


def _unknown() -> CallUnknown:
    return CallUnknown(CALL_UNKNOWN)


def _busy() -> EditConflict:
    return EditConflict("The call is being edited by others; send it again.")
