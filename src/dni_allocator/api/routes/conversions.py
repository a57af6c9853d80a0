"""Conversions of a traffic source: where its qualified calls are reported."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas_sources import (
    ConversionCreate,
    ConversionEdit,
    ConversionOut,
    ConversionsOut,
    GoogleAdsCreate,
    MicrosoftAdsCreate,
    TargetBody,
)
from dni_allocator.domain.conversion import settings_of
from dni_allocator.domain.conversion_file import ConversionFile
from dni_allocator.domain.moment import moment
from dni_allocator.domain.webhook import Endpoint
from dni_allocator.services.access import Scope
from dni_allocator.services.endpoints import Wanted

router = APIRouter(
    prefix="/traffic-sources/{source_id}/conversions",
    tags=["traffic sources"],
)

_MAY_BE_NOTHING = frozenset({"value", "consent"})
_OF_THE_ENDPOINT = frozenset({"url", "pools", "headers", "rate_limit", "description"})


admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))


@router.post("", status_code=201, summary="Report conversions", dependencies=[admin])
async def create_conversion(
    source_id: str,
    body: Annotated[ConversionCreate, Body()],
    services: ServicesDep,
    request: Request,
    response: Response,
) -> ConversionOut:
    """Report a source's qualified calls, or offer them as a file to be fetched.

    What a target is sent, and what became of it, is at `/webhooks/{id}/deliveries`,
    `/dead-letters`, `/replay` and `/test`, as of any endpoint.
    """
    settings = _settings(body.model_dump(exclude={"kind"}))
    if isinstance(body, GoogleAdsCreate | MicrosoftAdsCreate):
        made = await services.conversions.add_file(source_id, body.kind, settings)
        shown = _file_out(source_id, made.file, request, token=made.token)
    else:
        target = {name: each for name, each in settings.items() if name not in _OF_THE_ENDPOINT}
        endpoint = await services.conversions.add_target(
            source_id, body.kind, target, _wanted(body)
        )
        shown = _target_out(endpoint)
    response.headers["Location"] = f"/traffic-sources/{source_id}/conversions/{shown.id}"
    return shown


@router.get("", summary="List a source's conversions", dependencies=[reader])
async def list_conversions(
    source_id: str, services: ServicesDep, request: Request
) -> ConversionsOut:
    """List targets and files, oldest first; secrets are masked, tokens left out."""
    targets, files = await services.conversions.of_source(source_id)
    found = [_target_out(each) for each in targets]
    found += [_file_out(source_id, each, request) for each in files]
    return ConversionsOut(conversions=sorted(found, key=lambda each: each.created_at))


@router.get("/{conversion_id}", summary="Read a conversion", dependencies=[reader])
async def read_conversion(
    source_id: str, conversion_id: str, services: ServicesDep, request: Request
) -> ConversionOut:
    """Read one; secrets are masked, tokens left out."""
    _, files = await services.conversions.of_source(source_id)
    for file in files:
        if file.id == conversion_id:
            return _file_out(source_id, file, request)
    return _target_out(await services.conversions.target(source_id, conversion_id))


@router.patch(
    "/{conversion_id}", summary="Edit, enable or disable a conversion", dependencies=[admin]
)
async def edit_conversion(
    source_id: str,
    conversion_id: str,
    body: ConversionEdit,
    services: ServicesDep,
    request: Request,
) -> ConversionOut:
    """Change what is given. A disabled target keeps its place; a disabled file is not given."""
    given = {
        name: each
        for name, each in body.model_dump(exclude_unset=True).items()
        if each is not None or name in _MAY_BE_NOTHING
    }
    if await services.conversions.is_file(source_id, conversion_id):
        file = await services.conversions.edit_file(source_id, conversion_id, _settings(given))
        return _file_out(source_id, file, request)
    state = given.pop("state", None)
    settings = {name: each for name, each in given.items() if name not in _OF_THE_ENDPOINT}
    endpoint = await services.conversions.edit_target(
        source_id,
        conversion_id,
        settings,
        _wanted(body),
        active=None if state is None else state == "active",
    )
    return _target_out(endpoint)


@router.post(
    "/{conversion_id}/renew-token", summary="Change the token of a file", dependencies=[admin]
)
async def renew_token(
    source_id: str, conversion_id: str, services: ServicesDep, request: Request
) -> ConversionOut:
    """Give a file a new token; the one before opens nothing from now on."""
    made = await services.conversions.renew_token(source_id, conversion_id)
    return _file_out(source_id, made.file, request, token=made.token)


@router.delete(
    "/{conversion_id}", status_code=204, summary="Delete a conversion", dependencies=[admin]
)
async def delete_conversion(source_id: str, conversion_id: str, services: ServicesDep) -> None:
    """Report nothing there any more, and forget what waits."""
    await services.conversions.delete(source_id, conversion_id)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Lists as the tuples that records hold."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in given.items()}


def _wanted(body: TargetBody | ConversionEdit) -> Wanted:
    return Wanted(
        url=body.url,
        pools=body.pools,
        headers=body.headers,
        rate_limit=body.rate_limit,
        description=body.description,
    )


def _target_out(endpoint: Endpoint) -> ConversionOut:
    target = endpoint.target
    settings = {} if target is None else settings_of(target)
    return ConversionOut.model_validate(
        {
            "id": endpoint.id,
            "kind": settings.pop("kind"),
            "state": endpoint.state,
            "disabled_reason": endpoint.disabled_reason or None,
            "url": endpoint.url,
            "settings": settings,
            "pools": list(endpoint.pools),
            "headers": dict(endpoint.headers),
            "rate_limit": endpoint.rate_limit,
            "description": endpoint.description,
            "created_at": moment(endpoint.created_ms),
        }
    )


def _file_out(
    source_id: str, file: ConversionFile, request: Request, *, token: str | None = None
) -> ConversionOut:
    public = request.app.state.public_url or str(request.base_url)
    base = f"{public.rstrip('/')}/conversion-files/{source_id}/{file.id}"
    settings: dict[str, object] = {
        "conversion_name": file.conversion_name,
        "value": file.value,
        "currency": file.currency,
        "days": file.days,
    }
    if file.kind == "google_ads":
        settings |= {"click_ids": list(file.click_ids), "consent": file.consent}
    return ConversionOut.model_validate(
        {
            "id": file.id,
            "kind": file.kind,
            "state": file.state,
            "disabled_reason": None if file.state == "active" else "operator",
            "url": f"{base}.csv",
            "settings": settings,
            "pools": [],
            "headers": {},
            "rate_limit": 0,
            "description": file.description,
            "created_at": moment(file.created_ms),
            "token": token,
            "secret_url": None if token is None else f"{base}/{token}.csv",
        }
    )
