"""The commands, as typer sees them. What they do is in the modules beside this one."""

from pathlib import Path
from typing import Annotated

import typer

from dni_allocator.cli import keys

app = typer.Typer(
    name="dni-allocator",
    help="Give each website visitor a phone number of their own; know who it was when it rings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(keys.app, name="keys")
events_app = typer.Typer(help="Events.", no_args_is_help=True)
app.add_typer(events_app, name="events")
config_app = typer.Typer(help="Settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

NoForwarder = Annotated[
    bool, typer.Option("--no-forwarder", help="Leave deliveries to `dni-allocator forward`.")
]


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def serve(*, no_forwarder: NoForwarder = False) -> None:
    """Serve HTTP, with the forwarder inside. All settings: DNI_… in the environment."""
    from dni_allocator.cli.running import run_service

    run_service(forwarder=not no_forwarder)


@app.command()
def forward() -> None:
    """Deliver events to the webhook endpoints, and nothing else. Several may run."""
    from dni_allocator.cli.running import run_forwarder

    run_forwarder()


@app.command()
def sink(
    *,
    secret: Annotated[
        list[str],
        typer.Option(envvar="DNI_SINK_SECRET", help="The endpoint's whsec_…; the old one too."),
    ],
    database: Annotated[
        str, typer.Option(envvar="DNI_SINK_DATABASE", help="Any SQLAlchemy URL.")
    ] = "sqlite:///dni-sink.db",
    host: Annotated[str, typer.Option(envvar="DNI_SINK_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="DNI_SINK_PORT")] = 8001,
    read_token: Annotated[
        str | None,
        typer.Option(envvar="DNI_SINK_READ_TOKEN", help="Wanted as Bearer by GET /events."),
    ] = None,
) -> None:
    """Run the reference downstream store: verify signatures, keep each event once."""
    from dni_allocator.cli.running import run_sink

    run_sink(secrets=secret, database=database, host=host, port=port, read_token=read_token)


@app.command()
def demo(
    *,
    port: Annotated[int, typer.Option(envvar="DNI_PORT", help="Port of the service.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(
        ".dni-demo"
    ),
) -> None:
    """Start everything at once: Valkey, service, forwarder, sink, and a page to try."""
    from dni_allocator.cli.showing import run_demo

    run_demo(port=port, data_dir=data_dir)


@app.command()
def openapi(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the file instead of writing it.")
    ] = False,
    path: Annotated[Path, typer.Option(help="The file.")] = Path("openapi.yaml"),
) -> None:
    """Write the OpenAPI description, or fail when the file is not the present one."""
    from dni_allocator.cli.describing import describe

    raise typer.Exit(describe(path, check=check))


@app.command()
def size(
    *,
    pool: Annotated[
        str | None, typer.Option(help="Measure this pool; what is typed takes its place.")
    ] = None,
    per_hour: Annotated[
        float | None, typer.Option(help="Visitors who want a number, in the busiest hour.")
    ] = None,
    peak_minute: Annotated[
        float | None, typer.Option(help="Of them, in the busiest minute.")
    ] = None,
    hold: Annotated[float | None, typer.Option(help="Seconds a number is locked.")] = None,
    time_on_site: Annotated[
        float | None, typer.Option(help="Seconds, in the place of --hold.")
    ] = None,
    lock: Annotated[
        float | None, typer.Option(help="Closed-browser delay, seconds.  [usual: 30]")
    ] = None,
    idle_limit: Annotated[
        float | None, typer.Option(help="Lock after a lost beacon, seconds.  [usual: 300]")
    ] = None,
    lost_beacons: Annotated[
        float | None, typer.Option(help="Share of visits whose end is only told by silence.")
    ] = None,
    numbers: Annotated[int | None, typer.Option(help="The present size.")] = None,
    selection: Annotated[
        str | None, typer.Option(help="least_recently_released or random.")
    ] = None,
    turned_away: Annotated[
        float, typer.Option(help="Wanted: at most this share without a number.")
    ] = 0.01,
    reuse_gap: Annotated[
        float | None, typer.Option(help="Wanted: seconds before somebody else sees a number.")
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="Of a number a month, in any currency.")
    ] = None,
    days: Annotated[int, typer.Option(help="How far to look back in the pool.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="As GET /sizing answers.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it: a file .svg or .png.")] = None,
) -> None:
    """Say how many numbers a pool needs, and what its size gives."""
    from dni_allocator.cli.sizing import run_size

    figures: dict[str, object] = {
        "arrivals_per_hour": per_hour, "peak_minute": peak_minute, "hold_s": hold,
        "time_on_site_s": time_on_site, "closed_browser_delay_s": lock,
        "idle_limit_s": idle_limit, "lost_beacons": lost_beacons, "numbers": numbers,
        "selection": selection, "turned_away": turned_away, "reuse_gap_s": reuse_gap,
        "price_per_month": price, "days": days,
    }  # fmt: skip
    run_size(figures, pool_id=pool, as_json=as_json, plot=plot)


@app.command("export")
def export_data(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; left out: standard output.")
    ] = None,
    *,
    without_personal_data: Annotated[
        bool,
        typer.Option(
            "--without-personal-data", help="Neither visitors nor callers: settings only."
        ),
    ] = False,
) -> None:
    """Copy all data out, as lines of JSON. Holds the secrets of webhooks: keep it safe."""
    from dni_allocator.cli.backup import run_export

    run_export(file, personal_data=not without_personal_data)


@app.command("import")
def import_data(
    file: Annotated[
        Path | None, typer.Argument(help="An export; left out: standard input.")
    ] = None,
) -> None:
    """Copy an export into an empty system, of as many shards as you like."""
    from dni_allocator.cli.backup import run_import

    run_import(file)


@app.command()
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False
) -> None:
    """Look the system over; exit status 1 when something is bad."""
    from dni_allocator.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(as_json=as_json))


@app.command("simulate")
def simulate_pool(
    *,
    pool: Annotated[
        str | None, typer.Option(help="Take rules, size and traffic of this pool.")
    ] = None,
    numbers: Annotated[
        list[int] | None, typer.Option(min=1, max=100_000, help="A size to try; several may be.")
    ] = None,
    selection: Annotated[
        list[str] | None,
        typer.Option(help="least_recently_released or random.  [default: both]"),
    ] = None,
    per_hour: Annotated[float | None, typer.Option(min=0, max=1e6, help="Visits.")] = None,
    time_on_site: Annotated[
        float | None, typer.Option(min=0, max=86_400, help="Mean length of a visit, seconds.")
    ] = None,
    lengths: Annotated[
        str, typer.Option(help="Of visits: exponential, fixed or lognormal.")
    ] = "exponential",
    lock: Annotated[
        int | None, typer.Option(min=0, max=86_400, help="Closed-browser delay, seconds.")
    ] = None,
    idle_limit: Annotated[
        int | None, typer.Option(min=5, max=86_400, help="Lock after a lost beacon, seconds.")
    ] = None,
    lost_beacons: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of visits.")
    ] = None,
    returning: Annotated[
        float, typer.Option(min=0, max=0.95, help="Share of visits after which they come again.")
    ] = 0.0,
    away: Annotated[
        float, typer.Option(min=0, help="How long they are away on average, seconds.")
    ] = 1800.0,
    calls: Annotated[
        float, typer.Option(min=0, max=1, help="Share of visits that lead to a call.")
    ] = 0.05,
    call_delay: Annotated[
        float, typer.Option(min=0, help="Mean time from the visit to its call, seconds.")
    ] = 300.0,
    office_hours: Annotated[
        bool, typer.Option("--office-hours", help="Busy by day, quiet by night.")
    ] = False,
    bursts: Annotated[float, typer.Option(min=0, max=1000, help="Bursts a day.")] = 0.0,
    burst_factor: Annotated[
        float, typer.Option(min=1, max=100, help="How many times as many come in a burst.")
    ] = 5.0,
    burst_length: Annotated[float, typer.Option(min=1, help="Seconds.")] = 300.0,
    arrivals: Annotated[
        Path | None,
        typer.Option(help="CSV: when visits began (ISO 8601 or seconds), and their length."),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=10_000, help="Of a run.")] = 24.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Hours before, not counted.")] = 2.0,
    runs: Annotated[int, typer.Option(min=5, max=1000, help="With other chance each.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed, the same visitors.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it: a file .svg or .png.")] = None,
) -> None:
    """Try pools on made-up or recorded visitors: who is turned away, whose call goes astray."""
    from dni_allocator.cli.simulating import simulate_typed

    simulate_typed(
        figures={"per_hour": per_hour, "on_site_s": time_on_site, "lost_beacons": lost_beacons,
                 "returning": returning, "away_s": away, "calling": calls,
                 "call_delay_s": call_delay, "bursts_per_day": bursts,
                 "burst_factor": burst_factor, "burst_s": burst_length},
        lengths=lengths, office_hours=office_hours, numbers=numbers or [],
        selections=selection or [], delay_s=lock, idle_s=idle_limit, pool_id=pool,
        arrivals=arrivals, hours=hours, warm_up=warm_up, runs=runs, seed=seed, as_json=as_json,
        plot=plot,
    )  # fmt: skip


@app.command()
def version() -> None:
    """Print the version."""
    from dni_allocator import __version__

    typer.echo(__version__)


@events_app.command("tail")
def tail(
    *,
    oldest: Annotated[
        bool, typer.Option("--oldest", help="Begin with the oldest that is still kept.")
    ] = False,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Only these types.")
    ] = None,
    pool: Annotated[list[str] | None, typer.Option(help="Only of these pools.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line, as endpoints get it.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C.")
    ] = True,
) -> None:
    """Watch events as they happen."""
    from dni_allocator.cli.tailing import run_tail

    run_tail(
        oldest=oldest, types=event_type or [], pools=pool or [], as_json=as_json, follow=follow
    )


@config_app.command("check")
def config_check() -> None:
    """Read the settings as a start would; exit status 2 when they are wrong. Reaches nothing."""
    from dni_allocator.cli.configuring import check

    raise typer.Exit(check())


@config_app.command("show")
def config_show() -> None:
    """Print every setting, its value (no secret), and where it comes from."""
    from dni_allocator.cli.configuring import show

    show()
