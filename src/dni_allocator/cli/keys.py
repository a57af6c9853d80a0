"""Secret keys on the command line: made, listed, rotated, revoked, without an admin key at hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from dni_allocator.services.access import Scope
    from dni_allocator.services.secret_keys import SecretKey, SecretKeys

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

    async def work(keys: "SecretKeys") -> str:
        key, secret = await keys.create(name=name, scopes=scopes, pools=pool or None)
        return f"{key.id}  {secret}"

    typer.echo(_with_keys(work))


@app.command("list")
def list_keys() -> None:
    """List secret keys by their prefixes: id, prefix, scopes, pools, name."""

    async def work(keys: "SecretKeys") -> str:
        return "\n".join([_line(key) for key in await keys.all()])

    typer.echo(_with_keys(work))


@app.command("rotate")
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        int, typer.Option(min=0, max=90 * 86_400, help="Seconds the one before works on.")
    ] = 86_400,
) -> None:
    """Give a key a new secret and print it, this once."""

    async def work(keys: "SecretKeys") -> str:
        key, secret = await keys.rotate(key_id, overlap_s=overlap)
        return f"{key.id}  {secret}"

    typer.echo(_with_keys(work))


@app.command("revoke")
def revoke(key_id: KeyId) -> None:
    """End a key now, in every process."""

    async def work(keys: "SecretKeys") -> str:
        await keys.revoke(key_id)
        return f"{key_id} is revoked."

    typer.echo(_with_keys(work))


@app.command("replace-admin")
def replace_admin() -> None:
    """Make a new admin key in place of the present one, and print it once."""
    from dni_allocator.cli.running import replace_admin_key

    replace_admin_key()


def _with_keys(work: Callable[["SecretKeys"], Awaitable[T]]) -> T:
    from dni_allocator.app import App
    from dni_allocator.cli.running import store

    with store() as settings:

        async def run() -> T:
            async with App(settings).reading() as services:
                return await work(services.secret_keys)

        return asyncio.run(run())


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
