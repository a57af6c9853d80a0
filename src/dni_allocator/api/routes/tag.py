"""The tag as a file, and the snippet that loads it."""

import base64
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.caller import caller_of
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.encoding import takes_gzip
from dni_allocator.api.schemas import AmpNumberOut, AssignBody, IntegrationOut
from dni_allocator.api.snippets import snippets
from dni_allocator.domain.lease import Original
from dni_allocator.domain.marketing import MarketingField
from dni_allocator.domain.number import parse_number
from dni_allocator.domain.pool import Pool
from dni_allocator.services.access import Scope
from dni_allocator.tag.bundle import (
    TagConfig,
    TagDestination,
    TagField,
    load,
    load_more,
    render,
)

router = APIRouter(tags=["tag"])

_JAVASCRIPT = "text/javascript; charset=utf-8"
_ANYWHERE = {
    # The file is public and meant for other sites' pages.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_LEVEL = 6
"""Of gzip, for what differs from pool to pool: 80 µs a time, one byte more than the highest."""

_SCRIPT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/javascript": {"schema": {"type": "string"}}}}
}

KeyQuery = Annotated[str, Query(min_length=1, max_length=128, description="Publishable key.")]


@router.get("/tag.js", summary="The tag, set up", response_class=Response, responses=_SCRIPT_ANSWER)
async def configured_tag(key: KeyQuery, request: Request, services: ServicesDep) -> Response:
    """Serve the tag with the pool's destinations in front of it; cached for five minutes."""
    config = replace(_config(await services.sites.read(key), request), key=key)
    body = render(config)
    packed = gzip.compress(body, _LEVEL, mtime=0) if _may_be_packed(request) else None
    return _script(body, packed, "public, max-age=300")


@router.get(
    "/tag/{version}.js",
    summary="The tag, pinned",
    response_class=Response,
    responses=_SCRIPT_ANSWER,
)
async def pinned_tag(version: str, request: Request) -> Response:
    """Serve the tag of exactly this version, byte for byte; never changes.

    `<version>.more` is the second file, which the tag loads where it is needed.
    """
    bundle = load_more() if version.endswith(".more") else load()
    if version.removesuffix(".more") != bundle.version:
        # Old versions live on in the caches and in the releases, not in this process.
        raise HTTPException(404, "This service has no such version of the tag.", _ANYWHERE)
    packed = bundle.gzipped if _may_be_packed(request) else None
    return _script(bundle.body, packed, "public, max-age=31536000, immutable")


@router.get(
    "/pools/{pool_id}/integration-code",
    summary="How to put the tag on a site",
    dependencies=[Depends(opens(Scope.READ))],
)
async def integration_code(pool_id: str, request: Request, services: ServicesDep) -> IntegrationOut:
    """Give the script elements for this pool."""
    return snippets(_config([await services.pools.read(pool_id)], request))


@router.get("/tag/amp.json", summary="A number for an AMP page")
async def amp_number(
    *,
    key: KeyQuery,
    destination: Annotated[str, Query(pattern=r"^\+?\d{6,15}$")],
    client: Annotated[str, Query(min_length=1, max_length=256)],
    request: Request,
    response: Response,
    services: ServicesDep,
) -> AmpNumberOut:
    """Lease a number for a reader of an AMP page, which can send no heartbeat.

    The lock is the pool's idle limit from here on. The AMP client id is not stored: the visitor's
    id is made of its hash.
    """
    origin = request.headers.get("Origin")
    made = hashlib.sha256(f"amp {key} {client}".encode()).digest()
    visitor_id = base64.urlsafe_b64encode(made).decode("ascii")[:22]
    page = AssignBody(
        key=key,
        visitor_id=visitor_id,
        page_id=visitor_id,
        destinations=[f"+{destination.removeprefix('+')}"],
    )
    assignment = await services.allocation.assign(
        page,
        site_key=key,
        origin=origin,
        browser=caller_of(request.scope["headers"], request.scope.get("client")),
    )
    (answer,), (pool,) = assignment.answers, assignment.pools
    number = answer.destination if isinstance(answer, Original) else answer.formats.e164
    response.headers["Cache-Control"] = "no-store"
    response.headers["Access-Control-Allow-Origin"] = origin or "*"
    response.headers["Vary"] = "Origin"
    # AMP asks with cookies, of which there are none; a browser hides the answer without this.
    if origin:
        response.headers["Access-Control-Allow-Credentials"] = "true"
    phone = parse_number(number, country=pool.settings.country)
    return AmpNumberOut(phoneNumber=number, formattedPhoneNumber=phone.national)


def _may_be_packed(request: Request) -> bool:
    return takes_gzip(request.headers.getlist("Accept-Encoding"))


def _script(body: bytes, packed: bytes | None, caching: str) -> Response:
    headers = {**_ANYWHERE, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(packed or body, media_type=_JAVASCRIPT, headers=headers)


def public_origin(request: Request) -> str:
    """Where browsers reach this service: `DNI_PUBLIC_URL`, else as this request came in."""
    configured: str | None = request.app.state.public_url
    if configured:
        return configured.rstrip("/")
    return f"{request.url.scheme}://{request.url.netloc}"


def _config(pools: Sequence[Pool], request: Request) -> TagConfig:
    """What the tag has to know of the pools behind one key; the first decides on the format."""
    destinations = {each.e164: each for pool in pools for each in _destinations(pool)}
    return TagConfig(
        key=pools[0].key,
        origin=public_origin(request),
        destinations=tuple(destinations.values()),
        format=pools[0].settings.format.value,
        fields=tuple(
            TagField(
                name=each.name, source=each.source, key=each.key or each.name, touch=each.touch
            )
            for pool in pools
            for each in pool.settings.marketing_fields
            if isinstance(each, MarketingField) and each.source
        ),
    )


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
