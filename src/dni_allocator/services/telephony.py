"""Calls as vendors tell of them: where each goes, and what became of it.

A vendor waits for the answer while a caller listens to silence, so it is given whatever is broken:
from the table of `services.last_known` when the store is away. What could not be written then is
held, a bounded number of it, and written when the store is back.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from dni_allocator.domain.attribution import Basis
from dni_allocator.domain.call import Call, CallStatus, CallUpdate, NewCall
from dni_allocator.domain.errors import (
    DniError,
    EditConflict,
    InvalidRequest,
    NumberUnknown,
    PoolUnknown,
    StoreUnavailable,
)
from dni_allocator.domain.moment import moment
from dni_allocator.domain.pool import Pool
from dni_allocator.domain.routing import (
    Announce,
    Circumstances,
    Connect,
    Decline,
    Handling,
    Plan,
    Treatment,
    plan,
    whispered,
)
from dni_allocator.domain.telephony import Answer, Leg, Report, Ring, e164_of
from dni_allocator.rounds import pause
from dni_allocator.services.calls import Calls
from dni_allocator.services.last_known import LastKnown
from dni_allocator.services.quarantine import Quarantine
from dni_allocator.store.pools import PoolStore

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 3.0
"""How long a caller listens to silence before the store counts as away."""

MOST_HELD: Final = 1_000
"""Calls and reports that wait for the store, under 1 kB each; the oldest are dropped for more."""

REFRESH_S: Final = 15.0
LEAST_REST: Final = 20
"""How many times as long as reading the table took the next one waits: a process with thousands of
pools has other things to do."""
_TURN_S: Final = 1.0
_TROUBLE: Final = (StoreUnavailable, EditConflict, TimeoutError)
_OF_OURS: Final = "call"
"""Why a number rests after a call (`services.calls`): no sign of spam."""


@dataclass(frozen=True, slots=True)
class _Held:
    what: Ring | Report
    at_ms: int


class Telephony:
    """What vendors are answered, and what they report.

    `unknown` is what is done with calls on numbers of no pool; `now_ms` the clock by which calls
    are answered while the store, whose clock rules otherwise, is away.
    """

    def __init__(
        self,
        *,
        calls: Calls,
        pools: PoolStore,
        quarantine: Quarantine,
        last_known: LastKnown,
        unknown: Handling,
        now_ms: Callable[[], int],
    ) -> None:
        self._calls = calls
        self._pools = pools
        self._quarantine = quarantine
        self._last_known = last_known
        self._unknown = unknown
        self._now_ms = now_ms
        self._held: deque[_Held] = deque(maxlen=MOST_HELD)
        self.answers: Counter[tuple[str, str]] = Counter()
        """(vendor, what it was told: `connect`, `announce`, `decline`, `connect_from_memory`)."""

    async def answer(self, ring: Ring) -> Answer:
        """Where a call goes; it is recorded by then, if the store is there.

        Asked again about the same call, the answer is the same. Raises `StoreUnavailable` only for
        a number that is not remembered while not all are: the vendor then asks its fallback.
        """
        from_memory = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._recorded(ring)
        except (NumberUnknown, PoolUnknown):
            found = Answer(plan=self._of_nobody())
        except _TROUBLE:
            self._hold(ring)
            found = self._remembered(ring)
            log.warning("telephony.answered_from_memory", vendor=ring.vendor)
            from_memory = "_from_memory"
        self.answers[ring.vendor, _name(found.plan) + from_memory] += 1
        return found

    async def report(self, report: Report) -> None:
        """Note what became of a call. What is told twice changes nothing.

        Raises `StoreUnavailable`: it is held, and a vendor that sends it again does no harm.
        """
        try:
            await self._note(report)
        except _TROUBLE as error:
            self._hold(report)
            if isinstance(error, StoreUnavailable):
                raise
            message = "The store is too slow."
            raise StoreUnavailable(message) from error

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the table fresh, and write what is held as soon as may be, until `stop` is set."""
        due_s = 0.0
        while not stop.is_set():
            if self._held or time.monotonic() >= due_s:
                # A store that is away is asked again at the next turn.
                with suppress(StoreUnavailable):
                    began_s = time.monotonic()
                    await self.refresh()
                    took_s = time.monotonic() - began_s
                    due_s = time.monotonic() + max(REFRESH_S, took_s * LEAST_REST)
            await pause(stop, _TURN_S)

    async def refresh(self) -> None:
        """Read the table anew, and write what is held, oldest first. Raises `StoreUnavailable`."""
        await self._last_known.refresh()
        while self._held:
            held = self._held[0]
            try:
                await self._write(held)
            except StoreUnavailable:
                raise
            except EditConflict:
                return
            except DniError as error:
                # Too old by now, or its number or pool is gone: it must not hold up the others.
                log.warning("telephony.not_recorded", vendor=held.what.vendor, code=error.code)
            # Nobody else takes from the left; one that was dropped meanwhile is not there any more.
            if self._held and self._held[0] is held:
                self._held.popleft()

    async def _recorded(self, ring: Ring) -> Answer:
        if not ring.number:
            message = "No number was dialed."
            raise NumberUnknown(message)
        call = await self._start(ring)
        pool = await self._pools.read(call.pool_id)
        self._last_known.note(ring.number, pool, call.route_to)
        routing = pool.settings.routing
        told = {
            **call.fields,
            "pool": pool.settings.name,
            "campaign": pool.settings.campaign or "",
            "source": call.source,
        }
        return Answer(
            plan=plan(
                routing,
                Circumstances(
                    route_to=call.route_to,
                    known=call.basis is not Basis.NONE,
                    spam=await self._is_spam(ring, pool),
                    is_open=_is_open(pool, at_ms=call.started_ms),
                ),
            ),
            routing=routing,
            whisper=whispered(routing.whisper or "", told),
        )

    def _remembered(self, ring: Ring) -> Answer:
        """The answer without the store."""
        found = self._last_known.find(ring.number)
        if found is None:
            if ring.number and not self._last_known.whole:
                message = "The store is away, and this number is not remembered."
                raise StoreUnavailable(message)
            return Answer(plan=self._of_nobody())
        settings = found.pool.settings
        told = {"pool": settings.name, "campaign": settings.campaign or ""}
        return Answer(
            plan=plan(
                settings.routing,
                Circumstances(
                    route_to=found.destination,
                    known=True,
                    spam=ring.caller in settings.routing.blocked_callers,
                    is_open=_is_open(found.pool, at_ms=self._now_ms()),
                ),
            ),
            routing=settings.routing,
            whisper=whispered(settings.routing.whisper or "", told),
        )

    def _of_nobody(self) -> Plan:
        match self._unknown:
            case Handling(Treatment.ROUTE, destination=str(destination)):
                return Connect((destination,))
            case Handling(Treatment.MESSAGE, message=str(message)):
                return Announce(message)
            case _:
                return Decline()

    async def _is_spam(self, ring: Ring, pool: Pool) -> bool:
        routing = pool.settings.routing
        if routing.spam == Handling():
            return False
        if ring.caller in routing.blocked_callers:
            return True
        resting = await self._quarantine.of(pool.id, [ring.number])
        return any(rest.reason != _OF_OURS for rest in resting.values())

    async def _start(self, ring: Ring, *, at_ms: int | None = None) -> Call:
        started = await self._calls.start(
            NewCall(
                number=ring.number,
                caller=ring.caller,
                provider=ring.vendor,
                provider_call_id=ring.call_id,
                started_ms=at_ms,
            )
        )
        return started.call

    async def _note(self, report: Report, *, held_ms: int | None = None) -> None:
        call = await self._calls.find_by_provider(report.vendor, report.call_id)
        if call is None:
            if not report.number:
                return
            # It came in while the store was away; what is held of it, if anything, comes later.
            ring = Ring(
                vendor=report.vendor,
                call_id=report.call_id,
                number=report.number,
                caller=report.caller,
            )
            try:
                call = await self._start(ring, at_ms=self._rang_at(ring) or held_ms)
            except NumberUnknown:
                return
        update = update_of(call, report)
        try:
            await self._calls.update(call.id, update)
        except InvalidRequest:
            # The vendor's clock is not ours. What happened matters more than when.
            await self._calls.update(call.id, replace(update, answered_ms=None, ended_ms=None))

    def _rang_at(self, ring: Ring) -> int | None:
        """When a call that is held came in."""
        return next(
            (
                held.at_ms
                for held in self._held
                if isinstance(held.what, Ring) and held.what.call_id == ring.call_id
            ),
            None,
        )

    def _hold(self, what: Ring | Report) -> None:
        if len(self._held) == MOST_HELD:
            log.error("telephony.held_too_much", dropped=1)
        self._held.append(_Held(what, self._now_ms()))

    async def _write(self, held: _Held) -> None:
        if isinstance(held.what, Ring):
            await self._start(held.what, at_ms=held.at_ms)
        else:
            await self._note(held.what, held_ms=held.at_ms)


def handling_of(unknown: str) -> Handling:
    """`DNI_UNKNOWN_CALLS`: `reject`, a number that rings, or a text that is said."""
    if unknown == Treatment.REJECT:
        return Handling(Treatment.REJECT)
    number = e164_of(unknown)
    if number is not None:
        return Handling(Treatment.ROUTE, destination=number)
    return Handling(Treatment.MESSAGE, message=unknown)


def update_of(call: Call, report: Report) -> CallUpdate:
    """What a report adds to a call.

    That a caller's part is over says nothing of whether anybody answered: what was told of the
    ringing destinations decides, and its duration is the conversation's.
    """
    status, duration_s = report.status, report.duration_s
    if report.leg is Leg.CALLER:
        if status is None or not status.final or call.status.final:
            status = None
        elif status is CallStatus.COMPLETED and call.status is CallStatus.RINGING:
            status = CallStatus.NO_ANSWER
        over = status or call.status
        if over is not CallStatus.COMPLETED or call.duration_s is not None:
            duration_s = None
    if status is CallStatus.COMPLETED and duration_s is None:
        duration_s = _between(call.answered_ms, report.at_ms)
    return CallUpdate(
        status=status,
        answered_ms=report.at_ms if status is CallStatus.ANSWERED else None,
        ended_ms=report.at_ms if status is not None and status.final else None,
        duration_s=duration_s,
        recording_url=report.recording_url,
    )


def _between(begin_ms: int | None, end_ms: int | None) -> int | None:
    if begin_ms is None or end_ms is None or end_ms < begin_ms:
        return None
    return (end_ms - begin_ms) // 1000


def _is_open(pool: Pool, *, at_ms: int) -> bool | None:
    hours = pool.settings.routing.business_hours
    if hours is None:
        return None
    return hours.are_open(moment(at_ms).astimezone(ZoneInfo(hours.time_zone)))


def _name(planned: Plan) -> str:
    match planned:
        case Connect():
            return "connect"
        case Announce():
            return "announce"
        case Decline():
            return "decline"
