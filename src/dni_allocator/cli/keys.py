"""Secret keys on the command line: made, listed, rotated, revoked, without an admin key at hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from dni_allocator.api.context import Services
    from dni_allocator.services.access import Scope
    from dni_allocator.services.secret_keys import SecretKey

app = typer.Typer(help="Secret keys.", no_args_is_help=True)

T = TypeVar("T")

KeyId = Annotated[str, typer.Argument(help="Id of the key, `key_…`.")]


@app.command("create")
def create(
    *,
    scope: Annotated[list[str], typer.Option(help="What it opens; may be repeated.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    pool: Annotated[
        list[str] | None, typer.Option(help="The only pools it opens; may be repeated.")
    ] = None,
) -> None:
    """Make a secret key and print it, this once."""
    scopes = [_scope(each) for each in scope]

    async def work(services: "Services") -> str:
        key, secret = await services.secret_keys.create(
            name=name, scopes=scopes, pools=pool or None
        )
        await _note(services, "create", key.id)
        return f"{key.id}  {secret}"

    typer.echo(_run(work))


@app.command("list")
def list_keys() -> None:
    """List secret keys by their prefixes: id, prefix, scopes, pools, name."""

    async def work(services: "Services") -> str:
        return "\n".join([_line(key) for key in await services.secret_keys.all()])

    typer.echo(_run(work))


@app.command("rotate")
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        int, typer.Option(min=0, max=90 * 86_400, help="Seconds the one before works on.")
    ] = 86_400,
) -> None:
    """Give a key a new secret and print it, this once."""

    async def work(services: "Services") -> str:
        key, secret = await services.secret_keys.rotate(key_id, overlap_s=overlap)
        await _note(services, "rotate", key_id)
        return f"{key.id}  {secret}"

    typer.echo(_run(work))


@app.command("revoke")
def revoke(key_id: KeyId) -> None:
    """End a key now, in every process."""

    async def work(services: "Services") -> str:
        await services.secret_keys.revoke(key_id)
        await _note(services, "revoke", key_id)
        return f"{key_id} is revoked."

    typer.echo(_run(work))


@app.command("replace-admin")
def replace_admin() -> None:
    """Make a new admin key in place of the present one, and print it once."""

    async def work(services: "Services") -> str:
        secret = await services.access.replace_admin_key()
        await _note(services, "replace-admin", "admin")
        return secret

    typer.echo(_run(work))


def _run(work: Callable[["Services"], Awaitable[T]]) -> T:
    from dni_allocator.app import App
    from dni_allocator.cli.running import store

    with store() as settings:

        async def run() -> T:
            async with App(settings).reading() as services:
                return await work(services)

        return asyncio.run(run())


async def _note(services: "Services", command: str, key_id: str) -> None:
    from dni_allocator.domain.audit import AuditEntry

    await services.audit.record(
        AuditEntry(key_id="cli", action=f"keys {command}", about={"key_id": key_id})
    )


def _scope(text: str) -> "Scope":
    from dni_allocator.services.access import Scope

    try:
        return Scope(text)
    except ValueError as error:
        message = f"a scope is one of {', '.join(Scope)}"
        raise typer.BadParameter(message) from error


def _line(key: "SecretKey") -> str:
    pools = "all pools" if key.pools is None else ",".join(key.pools)
    rotated = "  (rotated)" if key.old else ""
    return f"{key.id}  {key.prefix or '-'}  {','.join(key.scopes)}  {pools}  {key.name}{rotated}"
