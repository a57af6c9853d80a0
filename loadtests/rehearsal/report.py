"""The report of a rehearsal: one HTML file with its plots inside, and a table for the terminal."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from loadtests.rehearsal.ledger import PEOPLE, ROBOTS, Ledger
from loadtests.rehearsal.slo import Judgement, Verdict

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c2733}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;"
    "border-bottom:1px solid #d8dee4;text-align:left}.held{color:#0a6b3d}.missed{color:#b3261e;"
    "font-weight:600}svg{width:100%;height:auto}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the report is about. `excused`: seconds of the outage, from and to, or None."""

    title: str
    about: Mapping[str, str]
    excused: tuple[int, int] | None = None


def table(judgements: Sequence[Judgement]) -> str:
    """The verdict as text."""
    rows = [("", "seen", "bound", "")]
    rows += [(each.what, each.seen, each.bound, _word(each)) for each in judgements]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def page(facts: Facts, ledger: Ledger, judgements: Sequence[Judgement]) -> str:
    """The whole report as HTML. Draws with matplotlib: some hundred milliseconds."""
    about = "".join(f"<tr><th>{escape(k)}<td>{escape(v)}" for k, v in facts.about.items())
    verdict = "".join(
        f"<tr><td>{escape(each.what)}<td>{escape(each.seen)}<td>{escape(each.bound)}"
        f'<td class="{_word(each)}">{_word(each)}'
        for each in judgements
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(facts.title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(facts.title)}</h1><table>{about}</table>"
        f"<h2>Objectives</h2><table><tr><th><th>seen<th>bound<th>{verdict}</table>"
        f"{_answers(ledger)}<h2>Over time</h2>{_plots(facts, ledger)}"
        f"<h2>Calls</h2>{_calls(ledger)}</html>\n"
    )


def _word(judgement: Judgement) -> str:
    return "held" if judgement.held else "missed"


def _answers(ledger: Ledger) -> str:
    shown = "".join(
        f"<tr><td>{escape(who)}<td>{escape(status)}<td>{escape(reason)}<td>{count:,}"
        for (who, status, reason), count in sorted(ledger.shown.items())
    )
    asked = "".join(
        f"<tr><td>{label}<td>{ledger.verdicts[verdict]:,}"
        for verdict, label in (
            (Verdict.RIGHT, "while the lease lived: right"),
            (Verdict.WRONG, "while the lease lived: wrong"),
            (Verdict.LATE_RIGHT, "afterwards: still the caller"),
            (Verdict.LATE_OTHER, "afterwards: somebody else by now, or nobody"),
        )
    )
    return (
        f"<h2>What pages were given</h2><table><tr><th>who<th>status<th>reason<th>{shown}</table>"
        f"<h2>Whose number was it?</h2><table>{asked}</table>"
    )


def _calls(ledger: Ledger) -> str:
    rows = ""
    for call, seconds in sorted(ledger.calls.items()):
        answered = sum(seen.answered for seen in seconds.values())
        failed = sum(seen.failed for seen in seconds.values())
        shares = "".join(f"<td>{ledger.percentile_ms(call, s):.1f}" for s in (0.5, 0.95, 0.99))
        rows += f"<tr><td>/{escape(call)}<td>{answered:,}<td>{failed:,}{shares}"
    return f"<table><tr><th><th>answers<th>failed<th>p50 ms<th>p95 ms<th>p99 ms{rows}</table>"


def _plots(facts: Facts, ledger: Ledger) -> str:
    last = max((s for seen in ledger.calls.values() for s in seen), default=0)
    seconds = range(last + 1)
    figure = Figure(figsize=(10, 11), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(4, 1, sharex=True)
    _arrivals(axes[0], ledger, seconds)
    _requests(axes[1], ledger, seconds)
    _latency(axes[2], ledger, seconds)
    _numbers(axes[3], ledger, seconds)
    for each in axes:
        each.grid(visible=True, alpha=0.3)
        each.set_ylim(bottom=0 if each.get_yscale() == "linear" else None)
        if facts.excused is not None:
            each.axvspan(*facts.excused, color="#b3261e", alpha=0.08)
        each.legend(loc="upper right", fontsize=8)
    axes[-1].set_xlabel("seconds since the beginning")
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def _arrivals(axes: Axes, ledger: Ledger, seconds: range) -> None:
    for who in (PEOPLE, ROBOTS):
        if who == PEOPLE or any(kind == who for kind, _ in ledger.arrived):
            axes.plot(seconds, [ledger.arrived[who, s] for s in seconds], label=f"{who} a second")
    axes.set_ylabel("arrivals")


def _requests(axes: Axes, ledger: Ledger, seconds: range) -> None:
    def total(of: str) -> list[int]:
        return [
            sum(getattr(seen[s], of) for seen in ledger.calls.values() if s in seen)
            for s in seconds
        ]

    axes.plot(seconds, total("answered"), label="answers a second")
    axes.plot(seconds, total("failed"), label="failed", color="#b3261e")
    axes.set_ylabel("requests")


def _latency(axes: Axes, ledger: Ledger, seconds: range) -> None:
    for share in (0.5, 0.95, 0.99):
        line = [ledger.percentile_ms("assign", share, seconds=[s]) or float("nan") for s in seconds]
        axes.plot(seconds, line, label=f"p{share * 100:.0f} of /assign")
    axes.set_yscale("log")
    axes.set_ylabel("ms")


def _numbers(axes: Axes, ledger: Ledger, seconds: range) -> None:
    seen = sorted(second for second in ledger.occupancy if second >= 0)
    if seen:
        axes.plot(seen, [ledger.occupancy[s][0] for s in seen], label="numbers leased")
        axes.plot(seen, [ledger.occupancy[s][1] for s in seen], label="numbers in the pool", ls=":")
    away = [
        sum(ledger.shown_at[PEOPLE, status, s] for status in ("overflow", "original"))
        for s in seconds
    ]
    axes.plot(seconds, away, label="people turned away a second", color="#b3261e")
    axes.set_ylabel("numbers")
