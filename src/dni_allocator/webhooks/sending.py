"""One request to a receiver: packed, sent, judged, and noted for the log of attempts.

Owns what an answer means to the gate, and what is told of an attempt. What follows from it, a retry
or a dead letter, is for `webhooks.lane`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from dni_allocator.domain.delivery import Entry, Heard, LoggedAttempt, Message, Unsendable
from dni_allocator.domain.webhook import Endpoint, Verdict, retry_after_s
from dni_allocator.webhooks.gate import Gate
from dni_allocator.webhooks.ports import Attempt, Dialects, Observe, OutboxPort, Pace
from dni_allocator.webhooks.records import noted
from dni_allocator.webhooks.transport import Answer, Transport

_MOST_NOTED: Final = 10


class Sender:
    """What a lane sends with. `heard`: how its receiver fared since that was last written."""

    def __init__(
        self,
        *,
        gate: Gate,
        transport: Transport,
        dialects: Dialects,
        pace: Pace,
        clock: Callable[[], float],
        wall: Callable[[], float],
        observe: Observe,
    ) -> None:
        self._gate = gate
        self._transport = transport
        self._dialects = dialects
        self._pace = pace
        self._clock = clock
        self._wall = wall
        self._observe = observe
        self.forget()

    def forget(self) -> None:
        """Another process may have sent since: begin with nothing heard and nothing noted."""
        self.heard: Heard = ""
        self._noted: list[LoggedAttempt] = []
        self._logged = 0.0

    async def write_log(self, outbox: OutboxPort, endpoint_id: str, *, at_once: bool) -> None:
        """Write what was noted, every now and then. Raises `StoreUnavailable`."""
        now = self._clock()
        if not self._noted or (now - self._logged < self._pace.log_s and not at_once):
            return
        self._logged = now
        attempts, self._noted = self._noted, []
        await outbox.log(
            endpoint_id,
            attempts,
            keep=self._pace.log_keep,
            keep_for_ms=self._pace.log_keep_for_ms,
        )

    async def send(
        self, endpoint: Endpoint, entries: Sequence[Entry]
    ) -> tuple[Verdict, str, float | None]:
        """One request: what its answer means, why it failed, how long the receiver asks to wait."""
        dialect = self._dialects[endpoint.kind]
        wall_s, started = self._wall(), self._clock()
        try:
            packed = dialect.message(endpoint, [entry.event for entry in entries], now_s=wall_s)
            if isinstance(packed, Unsendable):
                self._gate.abandon()
                return Verdict.REFUSED, packed.reason, None
            answer = await self._transport.send(
                packed.url, headers=packed.headers, body=packed.body, method=packed.method
            )
        except BaseException:
            self._gate.abandon()
            raise
        judged = dialect.verdict(answer.status, answer.body)
        is_taken = judged is Verdict.TAKEN
        asked_s = None if is_taken else retry_after_s(answer.headers, now_s=self._wall())
        self._gate.leave(
            taken=is_taken, retry_after_s=asked_s if judged is Verdict.OVERLOADED else None
        )
        # One success since the last commit is enough to be well.
        self.heard = "taken" if is_taken or self.heard == "taken" else "failed"
        took_s = self._clock() - started
        self._note(endpoint, packed, entries, answer, judged, at_s=wall_s, took_s=took_s)
        return judged, "" if is_taken else answer.failure or str(answer.status), asked_s

    def _note(
        self,
        endpoint: Endpoint,
        packed: Message,
        entries: Sequence[Entry],
        answer: Answer,
        judged: Verdict,
        *,
        at_s: float,
        took_s: float,
    ) -> None:
        attempt = entries[0].attempts + 1
        # Of a burst of successes a few are enough, the log keeps no more anyway.
        if judged is not Verdict.TAKEN or len(self._noted) < _MOST_NOTED:
            self._noted.append(
                noted(
                    packed,
                    answer,
                    judged,
                    endpoint=endpoint,
                    event_id=entries[0].event_id,
                    events=len(entries),
                    attempt=attempt,
                    at_s=at_s,
                    took_s=took_s,
                )
            )
        if len(self._noted) > 2 * self._pace.log_keep:
            del self._noted[: self._pace.log_keep]
        self._observe(
            Attempt(
                endpoint_id=endpoint.id,
                event_id=entries[0].event_id,
                events=len(entries),
                number_of_attempt=attempt,
                verdict=judged,
                status=answer.status,
                failure=answer.failure,
                seconds=took_s,
            )
        )
