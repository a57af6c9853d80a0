"""The table, in Markdown for people and in JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.plan import Plan
from loadtests.bench.results import Row, columns

_HEAD = (
    "what", "per s", "CPU µs", "Redis µs", "p50 ms", "p99 ms", "value", "budget", "",
)  # fmt: skip


def markdown(rows: Sequence[Row], plan: Plan) -> str:
    """One table, with where and how it was measured above it."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    lines = [_line(row, widths) for row in (cells[0], rule, *cells[1:])]
    return "\n".join([_circumstances(plan), "", *lines, ""])


def write_json(path: Path, rows: Sequence[Row], plan: Plan) -> None:
    """The same figures with all their digits."""
    document = {
        "at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "circumstances": _circumstances(plan),
        "rows": [columns(row) for row in rows],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _circumstances(plan: Plan) -> str:
    cores = os.cpu_count() or 1
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores{busy}, "
        f"Python {platform.python_version()}, uvicorn {version('uvicorn')}, "
        f"FastAPI {version('fastapi')}; client {'wrk' if plan.wrk else 'loadtests.bench.client'}; "
        f"medians of {plan.rounds} rounds of {plan.seconds:g} s"
        f"{', short mode: figures are rough' if plan.short else ''}."
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"


def _cells(row: Row) -> tuple[str, ...]:
    what = f"{row.what} ({row.note})" if row.note else row.what
    value = f"{row.value} {row.errors} errors".strip() if row.errors else row.value
    return (
        what,
        _figure(row.per_second, 0),
        _figure(row.cpu_us, 1),
        _figure(row.store_cpu_us, 1),
        _figure(row.p50_ms, 2),
        _figure(row.p99_ms, 2),
        value,
        row.budget,
        row.verdict,
    )


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
