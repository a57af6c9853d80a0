"""The shapes of questions and answers on the size of a pool."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dni_allocator.domain.pool import Selection
from dni_allocator.domain.sizing import Goals, Outcome
from dni_allocator.services.sizing import Answer, Asked, Basis

Seconds = Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class SizingQuery(BaseModel):
    """Figures typed in the place of measured ones, and what is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arrivals_per_hour: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None, description="Visitors who want a number in the busiest hour."
    )
    peak_minute: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None, description="Of them, in the busiest minute."
    )
    hold_s: Seconds | None = Field(default=None, description="How long a number is locked.")
    time_on_site_s: Seconds | None = Field(
        default=None, description="In the place of `hold_s`, which follows from it and the locks."
    )
    closed_browser_delay_s: Seconds | None = None
    idle_limit_s: Seconds | None = None
    lost_beacons: Share | None = Field(
        default=None, description="Share of visits whose end is only told by silence."
    )
    numbers: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="The present size."
    )
    selection: Selection | None = None
    turned_away: Annotated[float, Field(ge=0.000001, le=0.99)] = Field(
        default=0.01, description="Wanted: at most this share of visitors without a number."
    )
    reuse_gap_s: Seconds | None = Field(
        default=None, description="Wanted: so long before somebody else is shown a number."
    )
    reuse_share: Annotated[float, Field(ge=0.0001, le=0.99)] = Field(
        default=0.05, description="Of leases that may fall short of `reuse_gap_s`."
    )
    price_per_month: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None, description="Of one number, in any currency."
    )

    def asked(self) -> Asked:
        """As the use case takes it."""
        return Asked(
            per_hour=self.arrivals_per_hour,
            peak_minute=self.peak_minute,
            hold_s=self.hold_s,
            on_site_s=self.time_on_site_s,
            delay_s=self.closed_browser_delay_s,
            idle_s=self.idle_limit_s,
            lost_beacons=self.lost_beacons,
            numbers=self.numbers,
            selection=self.selection,
            price=self.price_per_month,
            goals=Goals(
                turned_away=self.turned_away, gap_s=self.reuse_gap_s, gap_share=self.reuse_share
            ),
        )


class PoolSizingQuery(SizingQuery):
    """The same of a pool: what is left out is measured."""

    days: Annotated[int, Field(ge=1, le=35)] = Field(default=7, description="How far to look back.")


class FigureOut(BaseModel):
    """A figure, and where it comes from."""

    value: float
    basis: Basis


class FiguresOut(BaseModel):
    """What the answer rests on."""

    arrivals_per_hour: FigureOut
    hold_s: FigureOut
    peak_minute: FigureOut | None
    lost_beacons: float | None
    load_erlangs: float = Field(description="Numbers wanted at a time, on average.")
    selection: Selection
    hours_with_visitors: int | None = Field(description="null: nothing was measured.")


class SizesOut(BaseModel):
    """The fewest numbers that do, by goal; null: not asked, or not known."""

    published: int = Field(
        description="The published rule: ceil(arrivals / 3600 × hold × 1.1). It knows no chance."
    )
    erlang_b: int = Field(description="`turned_away` in the busiest hour.")
    peak_minute: int | None = Field(description="The same at the end of the busiest minute.")
    reuse_gap: int | None = Field(description="`reuse_gap_s` on average: N ≥ A + λ·gap.")
    reuse_gap_sure: int | None = Field(description="`reuse_gap_s` in all but `reuse_share`.")


class OutcomeOut(BaseModel):
    """What a size gives."""

    numbers: int
    turned_away: float = Field(description="Share of visitors without a number.")
    turned_away_per_hour: float
    turned_away_at_peak: float | None
    reuse_gap_s: float | None = Field(description="Mean; null: nobody comes.")
    reused_early: float | None = Field(description="Share of leases below the wanted gap.")
    cost_per_month: float | None


class OneMoreOut(OutcomeOut):
    """What one number more gives."""

    served_more_per_hour: float = Field(description="In the busiest hour.")


class SizingOut(BaseModel):
    """How many numbers, and why."""

    pool_id: str | None
    figures: FiguresOut
    sizes: SizesOut
    recommended: OutcomeOut = Field(description="The fewest numbers that meet every goal.")
    present: OutcomeOut | None
    one_more: OneMoreOut | None
    curve: list[tuple[int, float]] = Field(description="Size and share turned away.")


Kind = Literal["svg", "png"]


def sizing_out(answer: Answer, *, pool_id: str | None) -> SizingOut:
    """An answer as JSON has it."""
    sizing, basis, traffic = answer.sizing, answer.basis, answer.sizing.traffic
    present, more = sizing.present, sizing.one_more
    peak = None
    if traffic.peak_minute is not None:
        peak = FigureOut(value=traffic.peak_minute, basis=basis["peak_minute"])
    one_more = None
    if present is not None and more is not None:
        served = present.turned_away_per_hour - more.turned_away_per_hour
        one_more = OneMoreOut(**_outcome(more, answer.price), served_more_per_hour=round(served, 3))
    return SizingOut(
        pool_id=pool_id,
        figures=FiguresOut(
            arrivals_per_hour=FigureOut(value=traffic.per_hour, basis=basis["per_hour"]),
            hold_s=FigureOut(value=round(traffic.hold_s, 1), basis=basis["hold_s"]),
            peak_minute=peak,
            lost_beacons=None if answer.lost_beacons is None else round(answer.lost_beacons, 4),
            load_erlangs=round(traffic.load, 3),
            selection=answer.selection,
            hours_with_visitors=answer.hours,
        ),
        sizes=SizesOut(
            published=sizing.published,
            erlang_b=sizing.erlang,
            peak_minute=sizing.peak,
            reuse_gap=sizing.gap,
            reuse_gap_sure=sizing.gap_sure,
        ),
        recommended=OutcomeOut(**_outcome(sizing.recommended, answer.price)),
        present=None if present is None else OutcomeOut(**_outcome(present, answer.price)),
        one_more=one_more,
        curve=[(numbers, round(share, 6)) for numbers, share in answer.curve],
    )


def _outcome(outcome: Outcome, price: float | None) -> dict[str, Any]:
    def rounded(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    return {
        "numbers": outcome.numbers,
        "turned_away": round(outcome.turned_away, 6),
        "turned_away_per_hour": round(outcome.turned_away_per_hour, 3),
        "turned_away_at_peak": rounded(outcome.peak_turned_away, 6),
        "reuse_gap_s": rounded(outcome.gap_s, 1),
        "reused_early": rounded(outcome.reused_early, 6),
        "cost_per_month": None if price is None else round(outcome.numbers * price, 2),
    }
