"""What Twilio tells of a call, and Telnyx' TeXML by the same names, as rings and reports."""

from collections.abc import Mapping
from typing import Final

from dni_allocator.domain.call import CallStatus
from dni_allocator.domain.telephony import Leg, Report, Ring, e164_of

Form = Mapping[str, str]

STATUSES: Final = {
    "queued": CallStatus.RINGING,
    "initiated": CallStatus.RINGING,
    "ringing": CallStatus.RINGING,
    "in-progress": CallStatus.ANSWERED,
    "answered": CallStatus.ANSWERED,
    "completed": CallStatus.COMPLETED,
    "busy": CallStatus.BUSY,
    "no-answer": CallStatus.NO_ANSWER,
    "failed": CallStatus.FAILED,
    "canceled": CallStatus.CANCELED,
}

WITHHELD: Final = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE on the keys of a phone: what stands in the
place of a caller's number that is withheld."""

_MOST_DIGITS: Final = 7
_TRY_NEXT: Final = frozenset({"busy", "no-answer", "failed"})


def ring_of(form: Form, *, vendor: str) -> Ring:
    """A call that comes in. `number` is empty where none was dialed (a SIP address)."""
    return Ring(
        vendor=vendor,
        call_id=form["CallSid"],
        number=e164_of(form.get("To", "")) or "",
        caller=_caller(form),
    )


def rings_on(form: Form) -> bool:
    """Whether the next destination is to ring: nobody answered, and the caller is still there."""
    return form.get("DialCallStatus") in _TRY_NEXT


def dialed_report(form: Form, *, vendor: str, last: bool) -> Report:
    """What came of ringing a destination; `last`: no other one rings after it."""
    told = STATUSES.get(form.get("DialCallStatus", ""))
    if told is CallStatus.ANSWERED:
        # So Telnyx calls a conversation that is over.
        told = CallStatus.COMPLETED
    over = told is CallStatus.COMPLETED
    return Report(
        vendor=vendor,
        call_id=form["CallSid"],
        leg=Leg.DIALED,
        number=e164_of(form.get("To", "")) or "",
        caller=_caller(form),
        status=told if over or last else None,
        duration_s=_seconds(form.get("DialCallDuration")) if over else None,
        recording_url=form.get("RecordingUrl") or None,
    )


def report_of(form: Form, *, vendor: str) -> Report:
    """A status callback: of the caller's call, of a call it led to, or of a recording."""
    parent = form.get("ParentCallSid", "")
    if form.get("RecordingStatus"):
        done = form["RecordingStatus"] == "completed"
        return Report(
            vendor=vendor,
            call_id=form["CallSid"],
            leg=Leg.RECORDING,
            recording_url=(form.get("RecordingUrl") or None) if done else None,
        )
    status = STATUSES.get(form.get("CallStatus", ""))
    if parent:
        # A destination: only that somebody is there. What came of it is told with the dialing.
        answered = status if status is CallStatus.ANSWERED else None
        return Report(vendor=vendor, call_id=parent, leg=Leg.DIALED, status=answered)
    return Report(
        vendor=vendor,
        call_id=form["CallSid"],
        leg=Leg.CALLER,
        number=e164_of(form.get("To", "")) or "",
        caller=_caller(form),
        status=status,
        duration_s=_seconds(form.get("CallDuration")),
        recording_url=form.get("RecordingUrl") or None,
    )


def _caller(form: Form) -> str | None:
    told = form.get("From", "")
    return None if told in WITHHELD else e164_of(told)


def _seconds(text: str | None) -> int | None:
    """Whole seconds, up to months; anything else is no duration."""
    if text and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return None
