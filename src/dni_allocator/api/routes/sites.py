"""Sites: several pools behind one publishable key, tried in order."""

from fastapi import APIRouter, Depends, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.backend_schemas import SiteCreate, SiteEdit, SiteOut, SitesOut
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas_keys import RotateKeyBody, old_keys_out
from dni_allocator.domain.site import Site
from dni_allocator.services.access import Scope

router = APIRouter(prefix="/sites", tags=["sites"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))


@router.post("", status_code=201, summary="Make a site", dependencies=[admin])
async def create_site(body: SiteCreate, services: ServicesDep, response: Response) -> SiteOut:
    """Give several pools one publishable key; a page is served by the first that has a number."""
    site = await services.site_records.create(name=body.name, pool_ids=tuple(body.pools))
    response.headers["Location"] = f"/sites/{site.id}"
    return _site_out(site)


@router.get("", summary="List sites", dependencies=[reader])
async def list_sites(services: ServicesDep) -> SitesOut:
    """List all sites, oldest first."""
    return SitesOut(sites=[_site_out(site) for site in await services.site_records.all()])


@router.get("/{site_id}", summary="Read a site", dependencies=[reader])
async def read_site(site_id: str, services: ServicesDep) -> SiteOut:
    """Read one site."""
    return _site_out(await services.site_records.read(site_id))


@router.patch("/{site_id}", summary="Edit a site", dependencies=[admin])
async def edit_site(site_id: str, body: SiteEdit, services: ServicesDep) -> SiteOut:
    """Change name, pools or their order; in force with the next call of every tag."""
    pool_ids = None if body.pools is None else tuple(body.pools)
    return _site_out(await services.site_records.edit(site_id, name=body.name, pool_ids=pool_ids))


@router.delete("/{site_id}", status_code=204, summary="Delete a site", dependencies=[admin])
async def delete_site(site_id: str, services: ServicesDep) -> None:
    """Delete a site and its key; the pools stay, and their leases run out."""
    await services.site_records.delete(site_id)


@router.post("/{site_id}/rotate-key", summary="Change the publishable key", dependencies=[admin])
async def rotate_site_key(
    site_id: str, services: ServicesDep, body: RotateKeyBody | None = None
) -> SiteOut:
    """Give the site a new publishable key. The one before works on for `overlap_s`."""
    overlap_s = (body or RotateKeyBody()).overlap_s
    return _site_out(await services.site_records.rotate_key(site_id, overlap_s=overlap_s))


def _site_out(site: Site) -> SiteOut:
    return SiteOut.model_validate(
        {
            "id": site.id,
            "key": site.key,
            "name": site.name,
            "pools": list(site.pool_ids),
            "old_keys": old_keys_out(site.old_keys),
            "created_at": site.created_at,
        }
    )
