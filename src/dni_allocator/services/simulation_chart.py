"""The picture of a simulation: turned away by size with intervals, and how soon numbers are reused.

matplotlib as in `services.sizing_chart`: loaded late, without pyplot.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dni_allocator.services.simulation import Result, gap_shares
from dni_allocator.services.sizing_chart import ALARM, INK, LINE, Kind, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES: Final = ("-", "--", ":", "-.")
_TICKS_S: Final[Mapping[float, str]] = {
    1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h", 360_000: "100 h",
}  # fmt: skip


def draw_simulation(results: Sequence[Result], kind: Kind, *, theory: Mapping[int, float]) -> bytes:
    """The picture. `theory`: by size, the share turned away by Erlang's formula; empty: none."""
    from matplotlib import rc_context  # noqa: PLC0415 -- loaded when the first picture is wanted
    from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

    with rc_context({"svg.hashsalt": "dni-allocator", "text.color": INK}):
        figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2)
        _turned_away(left, results, theory)
        _reuse(right, results)
        target = io.BytesIO()
        figure.savefig(target, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return target.getvalue()


def _turned_away(axes: "Axes", results: Sequence[Result], theory: Mapping[int, float]) -> None:
    # The same visitors meet all pools, and who is next decides nothing here: one point a size.
    by_size = {each.numbers: each.turned_away for each in results}
    sizes = sorted(by_size)
    axes.errorbar(
        sizes, [by_size[size].mean for size in sizes],
        yerr=[by_size[size].half_width for size in sizes],
        fmt="o", color=LINE, capsize=4, label="simulated, 95 % interval",
    )  # fmt: skip
    if theory:
        axes.plot(
            sorted(theory), [theory[size] for size in sorted(theory)], "-", color=ALARM,
            linewidth=1, label="Erlang B",
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1.1 * max(sizes) + 1)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_xlabel("numbers in the pool")
    axes.set_ylabel("page views without a number")
    axes.legend(frameon=False)
    _tidy(axes)


def _reuse(axes: "Axes", results: Sequence[Result]) -> None:
    sizes = sorted({each.numbers for each in results})
    for each in results:
        points = gap_shares(each)
        if points:
            axes.plot(
                [at for at, _ in points], [share for _, share in points],
                color=ALARM if each.rules.random else LINE,
                linestyle=_DASHES[sizes.index(each.numbers) % len(_DASHES)],
                label=f"{each.numbers}, {'random' if each.rules.random else 'least recent first'}",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(10, 36_000)
    axes.set_ylim(0, 1)
    axes.set_xticks(list(_TICKS_S), list(_TICKS_S.values()), minor=False)
    axes.set_xlim(10, 36_000)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_xlabel("since the number was released")
    axes.set_ylabel("numbers shown to somebody else by then")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _tidy(axes)


def _tidy(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(b=False)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
