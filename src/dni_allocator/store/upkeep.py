"""What a pool's numbers cost, its rules of scaling, and its latest decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import orjson

from dni_allocator.domain.errors import PoolUnknown
from dni_allocator.domain.scaling import (
    Action,
    Decision,
    DecisionState,
    Mode,
    Reason,
    ScalingRules,
    Spending,
)
from dni_allocator.store.ledger import Codec
from dni_allocator.store.ledger_records import dumped, read_wanted
from dni_allocator.store.replies import mapping, texts
from dni_allocator.store.scripts import load
from dni_allocator.store.shards import Shards

_PUT = load("scaling_rules_put")
_MILLIONTHS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """`latest`: what was last decided, `grow`, `shrink` or `blocked`, by the decision's id."""

    rules: ScalingRules | None
    spending: Spending
    latest: Mapping[str, str] = field(default_factory=dict)


class UpkeepStore:
    """One round trip a call. Raises `StoreUnavailable`."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def read(self, pool_id: str, *, month: str) -> Upkeep:
        """All of it; spending of `month`, such as `2026-11`. Empty for a pool that is gone."""
        at = self._shards.pool(pool_id)
        told = mapping(await self._shards.execute("HGETALL", at.upkeep))

        def amount(name: str) -> Decimal:
            return Decimal(told.get(name, "0")) / _MILLIONTHS

        return Upkeep(
            rules=_rules(told["rules"]) if "rules" in told else None,
            spending=Spending(
                held=amount("held"),
                released=amount(f"released:{month}"),
                upfront=amount(f"upfront:{month}"),
            ),
            latest={
                action: told[f"latest:{action}"]
                for action in ("grow", "shrink", "blocked")
                if f"latest:{action}" in told
            },
        )

    async def put_rules(self, pool_id: str, rules: ScalingRules | None) -> None:
        """Keep rules, or forget them. Idempotent. Raises `PoolUnknown`."""
        at = self._shards.pool(pool_id)
        reply = await _PUT.run(
            self._shards.execute,
            {
                "conf": at.conf,
                "upkeep": at.upkeep,
                "scaled": at.shard.scaled,
                "pool_id": pool_id,
                "rules": "" if rules is None else dumped(rules),
            },
        )
        if reply[0] == b"GONE":
            message = "There is no pool with this id."
            raise PoolUnknown(message)

    async def scaled(self) -> list[str]:
        """The pools that have rules, of all shards."""
        found = []
        for shard in self._shards.all():
            found += texts(await self._shards.execute("SMEMBERS", shard.scaled))
        return found


def _rules(text: str) -> ScalingRules:
    told = orjson.loads(text)
    budget = told["budget_per_month"]
    return ScalingRules(
        **{
            **told,
            "wanted": read_wanted(told["wanted"]),
            "mode": Mode(told["mode"]),
            "budget_per_month": None if budget is None else Decimal(budget),
        }
    )


def _decision(text: str) -> Decision:
    told = orjson.loads(text)
    return Decision(
        **{
            **told,
            "action": Action(told["action"]),
            "state": DecisionState(told["state"]),
            "reasons": tuple(Reason(**each) for each in told["reasons"]),
            "numbers": tuple(told["numbers"]),
        }
    )


DECISIONS = Codec("decisions", dumped, _decision)
