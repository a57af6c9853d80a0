"""What the attempt log keeps of one request and its answer.

Owns what is left out: signatures, the values of the operator's own headers and a vendor's secrets
open doors, URLs may hold them, and bodies name visitors. Knows neither where the log lies nor who
reads it.
"""

from collections.abc import Sequence
from typing import Final

from dni_allocator.domain.delivery import LoggedAttempt, Message
from dni_allocator.domain.webhook import Endpoint, Verdict
from dni_allocator.webhooks.transport import Answer

LEFT_OUT: Final = "(not kept)"
_LONGEST_EXCERPT: Final = 512
_MOST_HEADERS, _LONGEST_HEADER = 30, 256


def noted(
    packed: Message,
    answer: Answer,
    judged: Verdict,
    *,
    endpoint: Endpoint,
    event_id: str,
    events: int = 1,
    attempt: int = 1,
    at_s: float,
    took_s: float,
) -> LoggedAttempt:
    """The record of one attempt, at most some kilobytes. `at_s` is seconds since 1970.

    Of the answer's body its first 512 bytes are kept, and only of a failure.
    """
    secret = {name.lower() for name, _ in endpoint.headers} | {"webhook-signature"}
    response = list(answer.headers.items())[:_MOST_HEADERS]
    # Secrets are taken out before the cut: half of one is half a secret.
    said = "" if judged is Verdict.TAKEN else answer.body.decode("latin-1")
    excerpt = _without(packed.secrets, said)[:_LONGEST_EXCERPT]
    return LoggedAttempt(
        at_ms=int(at_s * 1000),
        message_id=packed.id,
        event_id=event_id,
        events=events,
        attempt=attempt,
        verdict=judged.value,
        status=answer.status,
        failure=answer.failure,
        took_ms=round(took_s * 1000),
        request={
            name: LEFT_OUT if name.lower() in secret else value
            for name, value in packed.headers.items()
        },
        response={
            name: _without(packed.secrets, value)[:_LONGEST_HEADER] for name, value in response
        },
        excerpt=excerpt,
    )


def _without(secrets: Sequence[str], text: str) -> str:
    """A text that another has written, who may have quoted the request."""
    for secret in secrets:
        text = text.replace(secret, LEFT_OUT)
    return text
