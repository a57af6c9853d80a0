"""The picture of an answer on size: the share turned away against the numbers, today's marked.

matplotlib is loaded when the first picture is wanted, and never pyplot, which keeps figures alive.
Drawing takes a good part of a second: for a thread. Nothing in a picture comes from outside but
figures.
"""

import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from dni_allocator.domain.erlang import erlang_b
from dni_allocator.services.sizing import Answer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["svg", "png"]
MEDIA_TYPES: Final[Mapping[Kind, str]] = {"svg": "image/svg+xml", "png": "image/png"}

_LOWEST: Final = 1e-4
_RIGHT: Final = 0.65
"""From there on labels stand to the left of their marks."""

_ONE_AT_A_TIME = threading.Lock()
"""matplotlib does not promise to bear two threads."""

INK: Final = "#222222"
LINE: Final = "#1f5fa8"
CALM: Final = "#2c7a3f"
ALARM: Final = "#b3261e"
PUBLISHED: Final = "#8a6d00"


def draw(answer: Answer, kind: Kind) -> bytes:
    """The picture, 7 × 4 inches."""
    with _ONE_AT_A_TIME:
        from matplotlib import rc_context  # noqa: PLC0415 -- see the module
        from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

        # The salt: the same picture is the same file.
        with rc_context({"svg.hashsalt": "dni-allocator", "text.color": INK}):
            figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
            _plot(figure.add_subplot(), answer)
            target = io.BytesIO()
            # A date would make two equal pictures differ.
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(target, format=kind, metadata=metadata)
    return target.getvalue()


def _plot(axes: "Axes", answer: Answer) -> None:
    sizing = answer.sizing
    goal = sizing.goals.turned_away
    shown = [(n, share) for n, share in answer.curve if share >= _LOWEST / 10]
    axes.plot([n for n, _ in shown], [share for _, share in shown], color=LINE, linewidth=1.8)
    axes.axhline(goal, color=CALM, linewidth=1, linestyle="--")
    axes.annotate(
        f"goal {percent(goal)}",
        (1, goal), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=CALM,
        xytext=(0, 2), textcoords="offset points",
    )  # fmt: skip
    marks = [
        (sizing.recommended.numbers, "recommended", "D", CALM),
        (sizing.published, "published rule", "s", PUBLISHED),
    ]
    if sizing.present is not None:
        marks.append((sizing.present.numbers, "today", "o", ALARM))
    reach = 1.12 * max([count for count, *_ in marks] + [n for n, _ in shown]) + 1
    for number, (count, name, marker, colour) in enumerate(marks):
        share = erlang_b(sizing.traffic.load, count)
        height = max(share, _LOWEST)
        left = count > _RIGHT * reach
        axes.plot([count], [height], marker, color=colour, markersize=8, zorder=3)
        axes.annotate(
            f"{name}: {count}, {percent(share)}",
            (count, height), xytext=(-14 if left else 14, 15 * number + (12 if left else -4)),
            textcoords="offset points", ha="right" if left else "left",
            color=colour, arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6},
        )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(b=False)
    axes.set_yscale("log")
    axes.set_ylim(_LOWEST / 1.5, 1.3)
    axes.set_xlim(0, reach)
    axes.locator_params(axis="x", integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.grid(visible=True, axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("numbers in the pool")
    axes.set_ylabel("visitors without a number of their own")
    traffic = sizing.traffic
    axes.set_title(
        f"{traffic.per_hour:,.0f} visitors in the busiest hour, {traffic.hold_s:,.0f} s each: "
        f"{traffic.load:,.1f} erlangs",
        fontsize=10, loc="left",
    )  # fmt: skip


def percent(share: float) -> str:
    """A share as people write it; below a hundredth of a percent only that it is."""
    if share and share < _LOWEST:
        return "< 0.01 %"
    return f"{100 * share:.3g} %"
