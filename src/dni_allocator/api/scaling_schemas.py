"""The shapes of rules of scaling and of decisions."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from dni_allocator.api.buying_schemas import Money, WishBody
from dni_allocator.domain.moment import moment
from dni_allocator.domain.scaling import (
    Action,
    Decision,
    DecisionState,
    Mode,
    Reason,
    ScalingRules,
    Spending,
    Verdict,
)

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[int, Field(strict=True, ge=0, le=2_592_000)]
Step = Annotated[int, Field(strict=True, ge=1, le=500)]


class ScalingBody(WishBody):
    """`PUT /pools/{id}/autoscale`: the numbers to buy, and how far one may go."""

    mode: Mode = Field(default=Mode.APPROVAL, description="`approval`: a person has the last word.")
    dry_run: bool = Field(default=False, description="Decide, and do nothing.")
    turned_away_target: Annotated[float, Field(ge=0.0001, le=0.5)] = Field(
        default=0.01, description="The share of visitors without a number that is borne."
    )
    grow_share: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.2, description="Most that one step adds, as a share of the pool."
    )
    step_cap: Step = Field(default=50, description="Most numbers that one step adds.")
    cool_down_s: Seconds = Field(default=300, description="Between two steps up.")
    lead_s: Annotated[int, Field(strict=True, ge=0, le=86_400)] = Field(
        default=3600, description="How long before a learnt peak to grow for it."
    )
    shrinks: bool = True
    shrink_step: Step = Field(default=5, description="Most numbers that one step lets go.")
    shrink_cool_down_s: Seconds = Field(
        default=86_400, description="Between two steps down, and after one up."
    )
    headroom_share: Share = Field(
        default=0.1, description="To spare above what the busiest hour of the week needed."
    )
    rest_s: Annotated[int, Field(strict=True, ge=0, le=31_536_000)] = Field(
        default=259_200, description="How long a number rests before it leaves."
    )
    budget_per_month: Money | None = Field(
        default=None,
        description="The most the pool's bought numbers may cost in a calendar month (UTC).",
    )

    def rules(self, country: str) -> ScalingRules:
        """As the domain has it."""
        return ScalingRules(
            wanted=self.wanted(country),
            vendor=self.vendor or "",
            mode=self.mode,
            dry_run=self.dry_run,
            turned_away_target=self.turned_away_target,
            grow_share=self.grow_share,
            step_cap=self.step_cap,
            cool_down_s=self.cool_down_s,
            lead_s=self.lead_s,
            shrinks=self.shrinks,
            shrink_step=self.shrink_step,
            shrink_cool_down_s=self.shrink_cool_down_s,
            headroom_share=self.headroom_share,
            rest_s=self.rest_s,
            budget_per_month=self.budget_per_month,
        )


class ReasonOut(BaseModel):
    """Why."""

    code: str
    detail: str


class SpendingOut(BaseModel):
    """What bought numbers cost this calendar month, in the vendor's currency."""

    held: str = Field(description="Rent of the numbers there are.")
    released: str = Field(description="Rent of those given back this month.")
    upfront: str = Field(description="Paid once this month.")
    total: str


class VerdictOut(BaseModel):
    """What would be decided this moment."""

    action: Action
    blocked: bool
    size: int
    needed: int
    buy: int
    recall: int
    release: int
    reasons: list[ReasonOut]


class ScalingOut(BaseModel):
    """A pool's rules, what they would do now, and what its numbers cost."""

    rules: ScalingBody | None
    now: VerdictOut | None
    spending: SpendingOut


class DecisionOut(BaseModel):
    """A decision to scale, with its reasons and what became of it."""

    id: str
    pool: str
    action: Action
    state: DecisionState
    problem: str | None
    size: int
    needed: int
    buy: int
    recall: int
    release: int
    reasons: list[ReasonOut]
    numbers: list[str] = Field(description="Those that were chosen to leave.")
    purchase_id: str | None
    created_at: datetime
    updated_at: datetime


class DecisionPageOut(BaseModel):
    """Some decisions, the newest first."""

    decisions: list[DecisionOut]
    next_cursor: str | None


def rules_out(rules: ScalingRules) -> ScalingBody:
    """Rules as they were sent."""
    wanted = rules.wanted
    return ScalingBody.model_validate(
        {
            **{
                name: getattr(rules, name)
                for name in ScalingBody.model_fields
                if hasattr(rules, name)
            },
            "vendor": rules.vendor or None,
            "type": wanted.type.value,
            **{
                name: getattr(wanted, name) or None
                for name in ("area_code", "prefix", "near", "rate_centre", "lata", "region")
            },
            "price_ceiling": wanted.ceiling,
            "currency": wanted.currency,
        }
    )


def _reasons(reasons: "tuple[Reason, ...] | list[Reason]") -> list[ReasonOut]:
    return [ReasonOut(code=each.code, detail=each.detail) for each in reasons]


def verdict_out(verdict: Verdict) -> VerdictOut:
    """A verdict as the answer shows it."""
    return VerdictOut(
        action=verdict.action,
        blocked=verdict.blocked,
        size=verdict.size,
        needed=verdict.needed,
        buy=verdict.buy,
        recall=verdict.recall,
        release=verdict.release,
        reasons=_reasons(tuple(verdict.reasons)),
    )


def spending_out(spending: Spending) -> SpendingOut:
    """Spending as the answer shows it."""
    return SpendingOut(
        held=f"{spending.held:f}",
        released=f"{spending.released:f}",
        upfront=f"{spending.upfront:f}",
        total=f"{spending.total:f}",
    )


def decision_out(decision: Decision) -> DecisionOut:
    """A decision as the answer shows it."""
    return DecisionOut(
        id=decision.id,
        pool=decision.pool_id,
        action=decision.action,
        state=decision.state,
        problem=decision.problem or None,
        size=decision.size,
        needed=decision.needed,
        buy=decision.buy,
        recall=decision.recall,
        release=decision.release,
        reasons=_reasons(decision.reasons),
        numbers=list(decision.numbers),
        purchase_id=decision.purchase_id or None,
        created_at=moment(decision.created_ms),
        updated_at=moment(decision.updated_ms),
    )
