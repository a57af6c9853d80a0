"""Small charts as SVG, drawn on the server: no script, no style of their own, readable aloud.

Colours come from the style sheet by class, so that they follow the person's light or dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from markupsafe import Markup

_WIDTH: Final = 640
_HEIGHT: Final = 160
_LEFT: Final = 44
_BOTTOM: Final = 18


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart. `kind` is its class in the style sheet; None: nothing is known there."""

    label: str
    kind: str
    values: Sequence[float | None]


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """A line without axes, as long as a word. `label` is what a screen reader says."""
    points = _points(values, width=120, height=28, top=_top([values]))
    return Markup(  # noqa: S704 -- the texts are escaped or made here # nosec B704
        f'<svg class="spark" viewBox="0 0 120 28" role="img" aria-label="{escape(label)}">'
        f"{_lines(points, 'leased')}</svg>"
    )


def area(series: Sequence[Series], ticks: Sequence[str], label: str) -> Markup:
    """Lines over a common axis from 0 up. `ticks` are spread evenly below, first to last."""
    top = _top([each.values for each in series])
    inner, high = _WIDTH - _LEFT, _HEIGHT - _BOTTOM
    drawn = ""
    for share in (0.0, 0.5, 1.0):
        y = high - share * (high - 6)
        drawn += f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        drawn += (
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_round(top * share)}</text>'
        )
    for each in series:
        lines = _points(each.values, width=inner, height=high, top=top, left=_LEFT)
        drawn += _lines(lines, each.kind)
    for at, tick in enumerate(ticks):
        x = _LEFT + inner * at / max(1, len(ticks) - 1)
        anchor = "start" if at == 0 else "end" if at == len(ticks) - 1 else "middle"
        drawn += f'<text x="{x:.1f}" y="{_HEIGHT - 2}" text-anchor="{anchor}">{escape(tick)}</text>'
    legend = "".join(f'<li class="{each.kind}">{escape(each.label)}</li>' for each in series)
    return Markup(  # noqa: S704 -- the texts are escaped or made here # nosec B704
        f'<figure class="chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg><ul class="legend">{legend}</ul></figure>'
    )


def _top(all_values: Sequence[Sequence[float | None]]) -> float:
    return max((v for values in all_values for v in values if v is not None), default=0) or 1


def _points(
    values: Sequence[float | None], *, width: int, height: int, top: float, left: int = 0
) -> list[list[tuple[float, float]]]:
    """Runs of points: where nothing is known, the line is broken."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            x = left + width * at / max(1, len(values) - 1)
            runs[-1].append((x, height - value / top * (height - 6)))
    return [run for run in runs if run]


def _lines(runs: list[list[tuple[float, float]]], kind: str) -> str:
    return "".join(
        f'<polyline class="{kind}" points="'
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in (run if len(run) > 1 else run * 2))
        + '"/>'
        for run in runs
    )


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 -- two digits are enough
