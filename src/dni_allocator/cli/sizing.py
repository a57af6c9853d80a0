"""How many numbers a pool needs, on the terminal: `dni-allocator size`."""

import asyncio
from pathlib import Path
from typing import cast

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from dni_allocator.api.sizing_schemas import PoolSizingQuery, SizingOut, sizing_out
from dni_allocator.app import App
from dni_allocator.cli.running import store
from dni_allocator.domain.errors import DniError
from dni_allocator.domain.sizing import Outcome
from dni_allocator.services.sizing import Answer, answer
from dni_allocator.services.sizing_chart import MEDIA_TYPES, Kind, draw

WRONG_USE = 2
OPTIONS = {
    "arrivals_per_hour": "per-hour",
    "hold_s": "hold",
    "time_on_site_s": "time-on-site",
    "closed_browser_delay_s": "lock",
    "idle_limit_s": "idle-limit",
    "reuse_gap_s": "reuse-gap",
    "price_per_month": "price",
}
"""Where an option is named otherwise than in the query of `GET /sizing`."""

_TINY = 1e-5


def run_size(
    figures: dict[str, object], *, pool_id: str | None, as_json: bool, plot: Path | None
) -> None:
    """Print sizes; `figures` as the query of `GET /sizing` names them, None: not given."""
    try:
        asked = PoolSizingQuery.model_validate(
            {name: value for name, value in figures.items() if value is not None}
        )
        found = answer(asked.asked()) if pool_id is None else _of_pool(pool_id, asked)
        if plot is not None:
            plot.write_bytes(draw(found, kind_of(plot)))
    except ValidationError as error:
        for finding in error.errors(include_url=False, include_input=False):
            name = str(finding["loc"][0])
            option = OPTIONS.get(name, name.replace("_", "-"))
            typer.echo(f"dni-allocator: --{option}: {finding['msg']}", err=True)
        raise typer.Exit(WRONG_USE) from error
    except DniError as error:
        typer.echo(f"dni-allocator: {error.detail}", err=True)
        raise typer.Exit(WRONG_USE) from error
    told = sizing_out(found, pool_id=pool_id)
    if as_json:
        typer.echo(told.model_dump_json(indent=2))
    else:
        _print(found, told)


def kind_of(plot: Path) -> Kind:
    """The kind of picture a file name asks for. Ends the process when it is none of ours."""
    kind = plot.suffix.removeprefix(".").lower()
    if kind not in MEDIA_TYPES:
        typer.echo("dni-allocator: a plot is a file ending in .svg or .png", err=True)
        raise typer.Exit(WRONG_USE)
    return cast("Kind", kind)


def _of_pool(pool_id: str, asked: PoolSizingQuery) -> Answer:
    async def ask() -> Answer:
        async with App(settings).reading() as services:
            return await services.sizing.of_pool(pool_id, asked.asked(), days=asked.days)

    with store() as settings:
        return asyncio.run(ask())


def _print(found: Answer, told: SizingOut) -> None:
    console = Console()
    figures = told.figures
    console.print(
        f"{figures.arrivals_per_hour.value:,.0f} visitors in the busiest hour "
        f"({figures.arrivals_per_hour.basis}), {figures.hold_s.value:,.0f} s each "
        f"({figures.hold_s.basis}): {figures.load_erlangs:,.2f} numbers wanted at a time",
        highlight=False,
    )
    sizing = found.sizing
    goals = sizing.goals
    wanted = f"{100 * goals.turned_away:g} % turned away"
    rows = [
        ("published rule (mean and a tenth)", told.sizes.published),
        (f"Erlang B, {wanted}", told.sizes.erlang_b),
        (f"busiest minute, {wanted}", told.sizes.peak_minute),
        (f"{goals.gap_s or 0:g} s before reuse, on average", told.sizes.reuse_gap),
        (f"the same in all but {100 * goals.gap_share:g} %", told.sizes.reuse_gap_sure),
    ]
    sizes = Table("goal", "numbers", title="Fewest numbers that do", title_justify="left")
    for goal, numbers in rows:
        if numbers is not None:
            sizes.add_row(goal, f"{numbers:,}")
    outcomes = Table(
        "", "numbers", "turned away", "an hour", "in the busiest minute", "reuse gap, mean",
        "reused early", "a month", title="What sizes give", title_justify="left",
    )  # fmt: skip
    for name, outcome in (
        ("today", sizing.present), ("one more", sizing.one_more),
        ("recommended", sizing.recommended),
    ):  # fmt: skip
        if outcome is not None:
            outcomes.add_row(name, *_cells(outcome, found.price))
    for column in [*sizes.columns[1:], *outcomes.columns[1:]]:
        column.justify = "right"
    console.print(sizes)
    console.print(outcomes)


def _cells(outcome: Outcome, price: float | None) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        if value is None:
            return ""
        return "< 0.001 %" if 0 < value < _TINY else f"{100 * value:.3g} %"

    return (
        f"{outcome.numbers:,}",
        share(outcome.turned_away),
        f"{outcome.turned_away_per_hour:,.1f}",
        share(outcome.peak_turned_away),
        "" if outcome.gap_s is None else f"{outcome.gap_s:,.0f} s",
        share(outcome.reused_early),
        "" if price is None else f"{outcome.numbers * price:,.2f}",
    )
