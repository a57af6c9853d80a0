"""The tag as a file, and the snippet that loads it."""

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas import IntegrationOut
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.pool import Pool
from dni_allocator.services.access import Scope
from dni_allocator.tag.bundle import TagConfig, TagDestination, load, render

router = APIRouter(tags=["tag"])

_JAVASCRIPT = "text/javascript; charset=utf-8"
_ANYWHERE = {
    # The file is public and meant for other sites' pages.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_SCRIPT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/javascript": {"schema": {"type": "string"}}}}
}

KeyQuery = Annotated[str, Query(min_length=1, max_length=128, description="Publishable key.")]


@router.get("/tag.js", summary="The tag, set up", response_class=Response, responses=_SCRIPT_ANSWER)
async def configured_tag(key: KeyQuery, request: Request, services: ServicesDep) -> Response:
    """Serve the tag with the pool's destinations in front of it; cached for five minutes."""
    pools = await services.sites.read(key)
    destinations = {each.e164: each for pool in pools for each in _destinations(pool)}
    config = TagConfig(
        key=key,
        origin=public_origin(request),
        destinations=tuple(destinations.values()),
        format=pools[0].settings.format.value,
    )
    return Response(
        render(config),
        media_type=_JAVASCRIPT,
        headers={**_ANYWHERE, "Cache-Control": "public, max-age=300"},
    )


@router.get(
    "/tag/{version}.js",
    summary="The tag, pinned",
    response_class=Response,
    responses=_SCRIPT_ANSWER,
)
async def pinned_tag(version: str) -> Response:
    """Serve the tag of exactly this version, byte for byte; never changes."""
    bundle = load()
    if version != bundle.version:
        # Old versions live on in the caches and in the releases, not in this process.
        raise HTTPException(404, "This service has no such version of the tag.", _ANYWHERE)
    return Response(
        bundle.body,
        media_type=_JAVASCRIPT,
        headers={**_ANYWHERE, "Cache-Control": "public, max-age=31536000, immutable"},
    )


@router.get(
    "/pools/{pool_id}/integration-code",
    summary="How to put the tag on a site",
    dependencies=[Depends(opens(Scope.READ))],
)
async def integration_code(pool_id: str, request: Request, services: ServicesDep) -> IntegrationOut:
    """Give the script elements for this pool."""
    pool = await services.pools.read(pool_id)
    bundle, origin = load(), public_origin(request)
    written = ",".join("|".join((each.e164, *each.digits)) for each in _destinations(pool))
    return IntegrationOut(
        html=f'<script async src="{escape(origin)}/tag.js?key={escape(pool.key)}"></script>',
        pinned_html=(
            f'<script async src="{escape(origin)}/tag/{bundle.version}.js" '
            f'integrity="{bundle.integrity}" crossorigin="anonymous" '
            f'data-key="{escape(pool.key)}" data-destinations="{escape(written)}" '
            f'data-format="{pool.settings.format.value}"></script>'
        ),
        version=bundle.version,
        integrity=bundle.integrity,
    )


def public_origin(request: Request) -> str:
    """Where browsers reach this service: `DNI_PUBLIC_URL`, else as this request came in."""
    configured: str | None = request.app.state.public_url
    if configured:
        return configured.rstrip("/")
    return f"{request.url.scheme}://{request.url.netloc}"


def _destinations(pool: Pool) -> list[TagDestination]:
    found = []
    for e164 in pool.settings.destinations:
        phone = parse_number(e164, country=pool.settings.country)
        # Where a trunk prefix is written, some pages keep it behind the country code: +44 (0)20 …
        with_trunk = f"{phone.calling_code}{phone.national_digits}"
        written = (phone.national_digits, with_trunk)
        digits = tuple(each for each in written if f"+{each}" != e164)
        found.append(TagDestination(e164=e164, digits=digits))
    return found
