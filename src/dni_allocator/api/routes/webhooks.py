"""Webhook endpoints: where events go, and what became of them."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas_webhooks import (
    AttemptOut,
    DeadLetterOut,
    DeadLettersOut,
    DeliveriesOut,
    EndpointCreate,
    EndpointEdit,
    EndpointOut,
    EndpointsOut,
    ExampleBody,
    ReplayBody,
    ReplayOut,
    RotateBody,
    StandingOut,
)
from dni_allocator.domain.delivery import LoggedAttempt
from dni_allocator.domain.moment import instant, moment, moment_or_none
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.services.access import Caller, Scope
from dni_allocator.services.deliveries import Replayed
from dni_allocator.services.endpoints import Wanted, signature_of
from dni_allocator.webhooks.signing import public_key_of

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
admin = Depends(opens(Scope.ADMIN))
reader = opens(Scope.READ)
Reader = Annotated[Caller, Depends(reader)]

Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("", status_code=201, summary="Make an endpoint", dependencies=[admin])
async def create_endpoint(
    body: EndpointCreate, services: ServicesDep, response: Response
) -> EndpointOut:
    """Make an endpoint; the answer holds what its receiver verifies signatures with."""
    endpoint = await services.endpoints.create(
        _wanted(body), secret=body.secret, signature=body.signature, start=body.start
    )
    response.headers["Location"] = f"/webhooks/{endpoint.id}"
    return _out(endpoint)


@router.get("", summary="List endpoints")
async def list_endpoints(caller: Reader, services: ServicesDep) -> EndpointsOut:
    """List all endpoints, oldest first. Secrets and header values are shown to admin keys only."""
    return EndpointsOut(webhooks=[_out(each, caller) for each in await services.endpoints.all()])


@router.get("/{endpoint_id}", summary="Read an endpoint")
async def read_endpoint(endpoint_id: str, caller: Reader, services: ServicesDep) -> EndpointOut:
    """Read one endpoint. Its secret and header values are shown to admin keys only."""
    return _out(await services.endpoints.read(endpoint_id), caller)


@router.patch("/{endpoint_id}", summary="Edit, enable or disable an endpoint", dependencies=[admin])
async def edit_endpoint(endpoint_id: str, body: EndpointEdit, services: ServicesDep) -> EndpointOut:
    """Change what is given. Switched on again, it goes on where it was, as far as that is kept."""
    active = None if body.state is None else body.state == "active"
    return _out(await services.endpoints.edit(endpoint_id, _wanted(body), active=active))


@router.delete(
    "/{endpoint_id}", status_code=204, summary="Delete an endpoint", dependencies=[admin]
)
async def delete_endpoint(endpoint_id: str, services: ServicesDep) -> None:
    """Forget an endpoint and all that waits for it."""
    await services.endpoints.delete(endpoint_id)


@router.post("/{endpoint_id}/rotate", summary="Change the secret", dependencies=[admin])
async def rotate_secret(
    endpoint_id: str, services: ServicesDep, body: RotateBody | None = None
) -> EndpointOut:
    """Give the endpoint a new secret. The one before signs too, until its overlap is over."""
    body = body or RotateBody()
    return _out(
        await services.endpoints.rotate(
            endpoint_id,
            overlap_s=body.overlap_s,
            secret=body.secret,
            signature=body.signature,
        )
    )


@router.post("/{endpoint_id}/test", summary="Test an endpoint", dependencies=[admin])
async def test_endpoint(endpoint_id: str, services: ServicesDep) -> AttemptOut:
    """Send an `endpoint.test` now and answer what came back. Not retried."""
    return _attempt(await services.deliveries.try_out(endpoint_id))


@router.post("/{endpoint_id}/example", summary="Send an example event", dependencies=[admin])
async def send_example(
    endpoint_id: str, services: ServicesDep, body: ExampleBody | None = None
) -> AttemptOut:
    """Send the documented example of a type now, with an id of its own. Not retried."""
    event_type = (body or ExampleBody()).event_type
    return _attempt(await services.deliveries.try_out(endpoint_id, event_type))


@router.get(
    "/{endpoint_id}/deliveries", summary="List delivery attempts", dependencies=[Depends(reader)]
)
async def list_deliveries(
    endpoint_id: str, services: ServicesDep, *, failed: bool = False, limit: Limit = 100
) -> DeliveriesOut:
    """The newest attempts, with the heads of request and answer. `failed`: only failures."""
    standing = await services.deliveries.standing(endpoint_id)
    found = await services.deliveries.attempts(endpoint_id, failed_only=failed, limit=limit)
    health = standing.health
    return DeliveriesOut(
        standing=StandingOut(
            retrying=standing.retrying,
            dead_letters=standing.dead_letters,
            unread_since=moment_or_none(standing.unread_since_ms),
            last_taken_at=moment_or_none(health.taken_at),
            failing_since=moment_or_none(health.failing_since),
            last_failed_at=moment_or_none(health.failed_at),
        ),
        deliveries=[_attempt(each) for each in found],
    )


@router.get(
    "/{endpoint_id}/dead-letters", summary="List dead letters", dependencies=[Depends(reader)]
)
async def list_dead_letters(
    endpoint_id: str, services: ServicesDep, limit: Limit = 100
) -> DeadLettersOut:
    """Events this endpoint did not take, newest first. Send them again with `replay`."""
    found = await services.deliveries.dead_letters(endpoint_id, limit=limit)
    return DeadLettersOut(
        dead_letters=[
            DeadLetterOut(
                since=moment(each.since_ms),
                reason=each.note,
                attempts=each.entry.attempts,
                event=each.entry.event.payload(),
            )
            for each in found
        ]
    )


@router.post(
    "/{endpoint_id}/replay", status_code=202, summary="Send events again", dependencies=[admin]
)
async def replay(endpoint_id: str, body: ReplayBody, services: ServicesDep) -> ReplayOut:
    """Send events again under their own ids: some by id, a range of time, or all dead letters."""
    done = Replayed(0)
    if body.event_ids is not None:
        done = await services.deliveries.replay_ids(endpoint_id, body.event_ids)
    elif body.since is not None:
        done = await services.deliveries.replay_range(
            endpoint_id,
            since_ms=max(0, instant(body.since)),
            # Not this machine's idea of now: the newest there is.
            until_ms=None if body.until is None else max(0, instant(body.until)),
        )
    else:
        done = await services.deliveries.replay_dead_letters(endpoint_id)
    return ReplayOut(
        replayed=done.events, missing=list(done.missing), go_on_since=moment_or_none(done.go_on_ms)
    )


def _wanted(body: EndpointCreate | EndpointEdit) -> Wanted:
    return Wanted(
        url=body.url,
        event_types=body.event_types,
        pools=body.pools,
        headers=body.headers,
        rate_limit=body.rate_limit,
        body=body.body,
        batch_size=body.batch_size,
        description=body.description,
    )


def _attempt(one: LoggedAttempt) -> AttemptOut:
    return AttemptOut.model_validate(
        {
            "at": moment(one.at_ms),
            "message_id": one.message_id,
            "event_id": one.event_id,
            "events": one.events,
            "attempt": one.attempt,
            "verdict": one.verdict,
            "status": one.status,
            "failure": one.failure or None,
            "took_ms": one.took_ms,
            "request_headers": one.request,
            "response_headers": one.response,
            "response_excerpt": one.excerpt or None,
        }
    )


def _out(endpoint: Endpoint, caller: Caller | None = None) -> EndpointOut:
    """An endpoint as the API shows it; without a caller, to one whose key is of admin."""
    signature = signature_of(endpoint)
    trusted = caller is None or caller.may(Scope.ADMIN)
    now_ms = int(datetime.now(tz=UTC).timestamp() * 1000)
    return EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        secret=endpoint.secret if trusted and signature != "ed25519" else None,
        public_key=public_key_of(endpoint.secret),
        signature=signature,
        old_secrets_until=[
            moment(one.until_ms) for one in endpoint.old_secrets if one.until_ms > now_ms
        ],
        event_types=list(endpoint.event_types),
        pools=list(endpoint.pools),
        headers={name: value if trusted else "" for name, value in endpoint.headers},
        rate_limit=endpoint.rate_limit,
        body=endpoint.body,
        batch_size=endpoint.batch_size,
        description=endpoint.description,
        state=endpoint.state,
        disabled_reason=endpoint.disabled_reason or None,
        created_at=moment(endpoint.created_ms),
    )
