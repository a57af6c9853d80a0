"""Secret keys: make, list, edit, rotate, revoke."""

from fastapi import APIRouter, Depends, Response

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.schemas_keys import (
    KeyCreate,
    KeyEdit,
    KeyMadeOut,
    KeyOut,
    KeysOut,
    OldSecretOut,
    RotateKeyBody,
)
from dni_allocator.domain.moment import moment
from dni_allocator.services.access import Scope
from dni_allocator.services.secret_keys import SecretKey

router = APIRouter(prefix="/keys", tags=["keys"])
admin = Depends(opens(Scope.ADMIN))
reader = Depends(opens(Scope.READ))


@router.post("", status_code=201, summary="Make a secret key", dependencies=[admin])
async def create_key(body: KeyCreate, services: ServicesDep, response: Response) -> KeyMadeOut:
    """Make a key; the answer holds the secret, this once."""
    key, secret = await services.secret_keys.create(
        name=body.name, scopes=body.scopes, pools=body.pools
    )
    response.headers["Location"] = f"/keys/{key.id}"
    return _made(key, secret)


@router.get("", summary="List secret keys", dependencies=[reader])
async def list_keys(services: ServicesDep) -> KeysOut:
    """List all keys by their prefixes, oldest first."""
    return KeysOut(keys=[_out(key) for key in await services.secret_keys.all()])


@router.get("/{key_id}", summary="Read a secret key", dependencies=[reader])
async def read_key(key_id: str, services: ServicesDep) -> KeyOut:
    """Read one key, without its secret."""
    return _out(await services.secret_keys.read(key_id))


@router.patch("/{key_id}", summary="Edit a secret key", dependencies=[admin])
async def edit_key(key_id: str, body: KeyEdit, services: ServicesDep) -> KeyOut:
    """Change what is given; in force with the next request, the secret stays."""
    return _out(
        await services.secret_keys.edit(
            key_id,
            name=body.name,
            scopes=body.scopes,
            pools=body.pools,
            all_pools="pools" in body.model_fields_set and body.pools is None,
        )
    )


@router.post("/{key_id}/rotate", summary="Change a secret key", dependencies=[admin])
async def rotate_key(
    key_id: str, services: ServicesDep, body: RotateKeyBody | None = None
) -> KeyMadeOut:
    """Give the key a new secret, shown this once. The one before works on for `overlap_s`."""
    overlap_s = (body or RotateKeyBody()).overlap_s
    return _made(*await services.secret_keys.rotate(key_id, overlap_s=overlap_s))


@router.delete("/{key_id}", status_code=204, summary="Revoke a secret key", dependencies=[admin])
async def revoke_key(key_id: str, services: ServicesDep) -> None:
    """End a key with all its secrets, now, in every process."""
    await services.secret_keys.revoke(key_id)


def _out(key: SecretKey) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=list(key.scopes),
        pools=None if key.pools is None else list(key.pools),
        created_at=moment(key.created_ms),
        old=[OldSecretOut(prefix=prefix, until=moment(until_ms)) for prefix, until_ms in key.old],
    )


def _made(key: SecretKey, secret: str) -> KeyMadeOut:
    return KeyMadeOut(**_out(key).model_dump(), secret=secret)
