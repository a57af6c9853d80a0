"""Telnyx Call Control: each event to what is noted of the call and what is commanded next."""

from collections import OrderedDict
from contextlib import suppress
from typing import Final, Protocol

from dni_allocator.domain.call import CallStatus
from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.routing import Announce, Connect, Decline
from dni_allocator.domain.telephony import Answer, Leg, Report, Ring
from dni_allocator.vendors.telnyx import call_control as telnyx
from dni_allocator.vendors.telnyx.call_control import Command, Event, State

MOST_SEEN: Final = 10_000
"""Events that are remembered so as not to be acted on twice: more than come in five minutes, for
which a signature holds. About 200 bytes each."""

_CONNECT: Final = "connect"
_HANG_UP: Final = "hang_up"


class Answering(Protocol):
    """Who knows where calls go, and takes note: `services.telephony.Telephony`."""

    async def answer(self, ring: Ring) -> Answer:
        """Where a call goes."""
        ...

    async def report(self, report: Report) -> None:
        """Note what became of it."""
        ...


class Commanding(Protocol):
    """Who sends commands: `vendors.telnyx.commands.TelnyxCommands`."""

    async def send(self, command: Command) -> None:
        """Send one."""
        ...


class CallControl:
    """Acts on events, each once; they may come twice and in any order."""

    def __init__(self, *, telephony: Answering, commands: Commanding) -> None:
        self._telephony = telephony
        self._commands = commands
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def handle(self, event: Event) -> None:
        """Act on an event.

        Raises `VendorUnavailable` where a command could not be sent, `StoreUnavailable` where
        nobody knows the number; Telnyx then sends the event again.
        """
        if event.id in self._seen:
            return
        command = await self._command(event)
        if command is not None:
            await self._commands.send(command)
        report = _report(event, rings_on=command is not None and command.action == "transfer")
        if report is not None:
            # Nobody waits for it: what cannot be noted now is held.
            with suppress(StoreUnavailable):
                await self._telephony.report(report)
        self._seen[event.id] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    async def _command(self, event: Event) -> Command | None:
        state = event.state
        match event.kind:
            case "call.initiated" if event.incoming and state is None:
                answer = await self._telephony.answer(event.ring())
                decline = isinstance(answer.plan, Decline)
                return telnyx.reject(event) if decline else telnyx.pick_up(event)
            case "call.answered" if state is not None and not state.destination:
                return await self._begin(event, state)
            case "call.speak.ended" if state is not None:
                if state.then == _CONNECT:
                    return self._next(await self._telephony.answer(event.ring()), state)
                return telnyx.hang_up(state) if state.then == _HANG_UP else None
            case "call.hangup" if state is not None and state.destination and event.unanswered:
                return self._next(await self._telephony.answer(event.ring()), state)
            case _:
                return None

    async def _begin(self, event: Event, state: State) -> Command:
        answer = await self._telephony.answer(event.ring())
        routing = answer.routing
        if isinstance(answer.plan, Announce):
            return telnyx.say(state, answer.plan.text, then=_HANG_UP, language=routing.language)
        if routing.announcement is not None and isinstance(answer.plan, Connect):
            return telnyx.say(state, routing.announcement, then=_CONNECT, language=routing.language)
        return self._next(answer, state)

    def _next(self, answer: Answer, state: State) -> Command:
        """The next destination, or the end."""
        if isinstance(answer.plan, Connect) and state.following < len(answer.plan.destinations):
            return telnyx.transfer(state, answer.plan.destinations[state.following], answer)
        return telnyx.hang_up(state)


def _report(event: Event, *, rings_on: bool) -> Report | None:
    """What an event says of the call; None: nothing that is kept, or not the last word."""
    destination = event.state is not None and event.state.destination
    match event.kind:
        case "call.answered" if destination:
            return event.report(Leg.DIALED, CallStatus.ANSWERED)
        case "call.hangup" if destination:
            if rings_on or event.cause == "originator_cancel":
                return None
            return event.report(Leg.DIALED, event.unanswered or CallStatus.COMPLETED)
        case "call.hangup" if event.state is not None:
            return event.report(Leg.CALLER, CallStatus.COMPLETED)
        case "call.recording.saved":
            return event.report(Leg.RECORDING, None)
        case _:
            return None
