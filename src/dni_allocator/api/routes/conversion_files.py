"""Files of conversions: fetched by advertisers' systems, with the file's own token."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from dni_allocator.api.context import ServicesDep
from dni_allocator.domain.errors import ConversionUnknown, PasswordRequired
from dni_allocator.services.conversion_files import Fetched

router = APIRouter(prefix="/conversion-files/{source_id}", tags=["traffic sources"])

_basic = HTTPBasic(auto_error=False, scheme_name="fileToken", description="The token as password.")
BasicDep = Annotated[HTTPBasicCredentials | None, Depends(_basic)]
Part = Annotated[str, Path(max_length=100)]

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {}}, "description": "The file."}
}


@router.get("/{file_id}.csv", summary="Fetch a file of conversions", responses=_CSV)
async def fetch_with_password(
    source_id: Part, file_id: Part, services: ServicesDep, basic: BasicDep
) -> Response:
    """Fetch a file with HTTP basic auth: any user name, the token as the password."""
    if basic is not None:
        try:
            found = await services.conversion_files.fetch(source_id, file_id, basic.password)
        except ConversionUnknown as error:
            raise PasswordRequired(_HOW) from error
        return _csv(found)
    raise PasswordRequired(_HOW)


@router.get("/{file_id}/{token}.csv", summary="Fetch a file by its secret address", responses=_CSV)
async def fetch_with_path(
    source_id: Part, file_id: Part, token: Part, services: ServicesDep
) -> Response:
    """Fetch a file by an address that holds the token, where no password can be given."""
    return _csv(await services.conversion_files.fetch(source_id, file_id, token))


_HOW = "Send HTTP basic auth: any user name, and the file's token as the password."


def _csv(found: Fetched) -> Response:
    return Response(
        found.text,
        media_type="text/csv",
        headers={
            "Content-Disposition": f'attachment; filename="{found.name}"',
            "Cache-Control": "no-store",
            "X-Robots-Tag": "noindex",
        },
    )
