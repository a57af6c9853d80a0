"""Simulations on the terminal: `dni-allocator simulate`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dni_allocator.app import App
from dni_allocator.cli.running import store
from dni_allocator.cli.sizing import WRONG_USE, kind_of
from dni_allocator.domain.erlang import erlang_b
from dni_allocator.domain.errors import DniError, InvalidRequest
from dni_allocator.domain.pool import PoolSettings, Selection
from dni_allocator.domain.rehearsal import Rules
from dni_allocator.domain.sizing import mean_hold_s
from dni_allocator.services.simulated_traffic import OFFICE, Crowd, Lengths, read_record
from dni_allocator.services.simulation import Estimate, Plan, Result, simulate
from dni_allocator.services.simulation_chart import draw_simulation
from dni_allocator.services.sizing import Measured

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was typed, beside the plan. Figures None: not given; `numbers` empty: the pool's."""

    figures: Mapping[str, object]
    numbers: Sequence[int]
    selections: Sequence[Selection]
    delay_s: int | None
    idle_s: int | None
    arrivals: Path | None


def simulate_typed(
    *,
    figures: Mapping[str, float | None],
    lengths: str,
    office_hours: bool,
    numbers: Sequence[int],
    selections: Sequence[str],
    delay_s: int | None,
    idle_s: int | None,
    pool_id: str | None,
    arrivals: Path | None,
    hours: float,
    warm_up: float,
    runs: int,
    seed: int,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Simulate what was typed, and print it. Ends the process on wrong use."""
    try:
        kind = None if plot is None else kind_of(plot)
        wanted = Wanted(
            figures={
                **figures,
                "lengths": _one_of(Lengths, lengths, "--lengths"),
                "profile": OFFICE if office_hours else (),
            },
            numbers=numbers,
            selections=[_one_of(Selection, each, "--selection") for each in selections]
            or list(Selection),
            delay_s=delay_s,
            idle_s=idle_s,
            arrivals=arrivals,
        )
        settings, measured = _pool(pool_id)
        plan = _plan(wanted, settings, measured)
        plan = replace(plan, hours=hours, warm_up_hours=warm_up, runs=runs, seed=seed)
        results = _simulate(plan, quiet=as_json)
        theory = _theory(plan)
        if plot is not None and kind is not None:
            plot.write_bytes(draw_simulation(results, kind, theory=_theory(plan, curve=True)))
    except DniError as error:
        typer.echo(f"dni-allocator: {error.detail}", err=True)
        raise typer.Exit(WRONG_USE) from error
    if as_json:
        document = _json(plan, results, theory)
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(plan, results, theory)


def _one_of(kind: type[Choice], text: str, option: str) -> Choice:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: one of {', '.join(kind)}.") from error


def _pool(pool_id: str | None) -> tuple[PoolSettings, Measured]:
    """Settings and figures of a pool; without one, the usual settings and no figures."""
    if pool_id is None:
        return PoolSettings(name="", country="US", destinations=()), Measured()

    async def ask() -> tuple[PoolSettings, Measured]:
        async with App(settings).reading() as services:
            pool = await services.pools.read(pool_id)
            return pool.settings, await services.sizing.measured(pool_id)

    with store() as settings:
        return asyncio.run(ask())


def _plan(wanted: Wanted, settings: PoolSettings, measured: Measured) -> Plan:
    """Everything that was typed, completed by what is known of the pool."""
    settings = replace(
        settings,
        closed_browser_delay_s=(
            settings.closed_browser_delay_s if wanted.delay_s is None else wanted.delay_s
        ),
        idle_limit_s=settings.idle_limit_s if wanted.idle_s is None else wanted.idle_s,
    )
    figures = {name: value for name, value in wanted.figures.items() if value is not None}
    record = () if wanted.arrivals is None else tuple(read_record(wanted.arrivals))
    if "per_hour" not in figures:
        if measured.per_hour is None and not record:
            raise InvalidRequest("--per-hour: needed where there is no pool to measure.")
        figures["per_hour"] = measured.per_hour or 0.0
    if "lost_beacons" not in figures and measured.lost_beacons is not None:
        figures["lost_beacons"] = measured.lost_beacons
    if "on_site_s" not in figures:
        if measured.hold_s is None:
            raise InvalidRequest("--time-on-site: needed where there is no pool to measure.")
        # The hold is the visit and one of the two locks.
        lock_s = mean_hold_s(
            on_site_s=0, delay_s=settings.closed_browser_delay_s, idle_s=settings.idle_limit_s,
            lost_beacons=measured.lost_beacons or 0.0,
        )  # fmt: skip
        figures["on_site_s"] = max(0.0, measured.hold_s - lock_s)
    numbers = list(wanted.numbers)
    if not numbers and measured.numbers is not None:
        numbers = [measured.numbers]
    if not numbers:
        raise InvalidRequest("--numbers: needed where there is no pool to measure.")
    # mypy cannot match names of a ** mapping with fields; a wrong one raises at once.
    crowd = Crowd(**figures)  # type: ignore[arg-type]
    pools = [
        (size, Rules.of(replace(settings, selection=selection)))
        for size in sorted(set(numbers))
        for selection in wanted.selections
    ]
    return Plan(crowd=crowd, pools=pools, record=record)


def _simulate(plan: Plan, *, quiet: bool) -> list[Result]:
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("simulating", total=plan.runs * len(plan.pools))
        return simulate(plan, progress=lambda: bar.advance(task))


def _theory(plan: Plan, *, curve: bool = False) -> dict[int, float]:
    """Erlang's share by size, where arrivals are level and nobody comes again: what it is for.

    For the sizes of the plan, or, for a curve, those between them too.
    """
    crowd = plan.crowd
    if plan.record or crowd.profile or crowd.bursts_per_day or crowd.returning:
        return {}
    rules = plan.pools[0][1]  # the locks of all of them
    hold_s = mean_hold_s(
        on_site_s=crowd.on_site_s, delay_s=rules.delay / 1000, idle_s=rules.idle / 1000,
        lost_beacons=crowd.lost_beacons,
    )  # fmt: skip
    load, sizes = crowd.per_hour / 3600 * hold_s, sorted({numbers for numbers, _ in plan.pools})
    if curve:
        sizes = list(range(sizes[0], sizes[-1] + 1, max(1, sizes[-1] // 500)))
    return {numbers: erlang_b(load, numbers) for numbers in sizes}


def _json(plan: Plan, results: Sequence[Result], theory: dict[int, float]) -> dict[str, object]:
    def told(estimate: Estimate | None) -> object:
        if estimate is None:
            return None
        return {"mean": round(estimate.mean, 6), "half_width": round(estimate.half_width, 6)}

    return {
        "seed": plan.seed,
        "runs": plan.runs,
        "hours": None if plan.record else plan.hours,
        "pools": [
            {
                "numbers": each.numbers,
                "selection": _selection(each),
                "page_views": each.views,
                "calls": each.calls,
                "turned_away": told(each.turned_away),
                "erlang_b": theory.get(each.numbers),
                "wrong_attributions": told(each.wrong),
                "calls_without_own_number": told(each.shared),
                "leased": told(each.busy),
                "reused_within_s": {str(at): told(share) for at, share in each.reused.items()},
            }
            for each in results
        ],
    }


def _selection(result: Result) -> Selection:
    return Selection.RANDOM if result.rules.random else Selection.LEAST_RECENTLY_RELEASED


def _print(plan: Plan, results: Sequence[Result], theory: dict[int, float]) -> None:
    console = Console()
    span = "as recorded" if plan.record else f"of {plan.hours:g} h"
    table = Table(
        "numbers", "next is", "turned away", "Erlang B", "wrong calls", "shared number",
        "reused in 10 min",
        title=f"{plan.runs} runs {span}, seed {plan.seed}; 95 % intervals", title_justify="left",
    )  # fmt: skip
    for column in table.columns:
        column.justify = "right"
        column.overflow = "fold"
    for each in results:
        by_theory = theory.get(each.numbers)
        table.add_row(
            f"{each.numbers:,}",
            "random" if each.rules.random else "least recent",
            _share(each.turned_away),
            "" if by_theory is None else f"{100 * by_theory:.2f} %",
            _share(each.wrong),
            _share(each.shared),
            _share(each.reused[600]),
        )
    console.print(table)


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate.mean:.2f} ± {100 * estimate.half_width:.2f} %"
