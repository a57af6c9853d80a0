"""Scale pools: look at each, decide, and carry the decision out, each on record.

A decision is written down before anything follows from it, and what follows is named after it: an
order that is placed twice for one decision is one order. So it can be taken up by another process.
"""

from collections.abc import Mapping
from dataclasses import replace

import orjson
import structlog

from dni_allocator.domain.errors import (
    DecisionUnknown,
    DniError,
    EditConflict,
    NumberUnknown,
    PoolUnknown,
    PurchaseClosed,
    PurchaseUnknown,
    StoreUnavailable,
)
from dni_allocator.domain.history import HOUR_MS
from dni_allocator.domain.purchase import PurchaseState
from dni_allocator.domain.release import ReleaseState
from dni_allocator.domain.scaling import (
    Action,
    Decision,
    DecisionState,
    Mode,
    ScalingRules,
    Verdict,
)
from dni_allocator.services.ids import new_record_token
from dni_allocator.services.judging import Judge
from dni_allocator.services.ledger_pages import page_of
from dni_allocator.services.paging import Page
from dni_allocator.services.purchases import PurchaseRequest, Purchases, checked
from dni_allocator.services.purchasing import Now, month_of, wall_clock
from dni_allocator.services.releasing import Releasing
from dni_allocator.services.shops import Shops
from dni_allocator.store.history import HistoryStore
from dni_allocator.store.ledger import Kept, Ledger, record_id
from dni_allocator.store.pools import PoolStore
from dni_allocator.store.upkeep import Upkeep, UpkeepStore

log = structlog.get_logger(__name__)

EVERY_MS = 60_000
PROPOSED_FOR_MS = 24 * HOUR_MS
IN_VAIN_MS = HOUR_MS
"""After an order that brought nothing (no stock, too dear) the next one waits so long."""
BLOCKED_AGAIN_MS = HOUR_MS
"""A decision that may not be carried out is put on record again only after so long."""


class Scaling:
    """Raises `StoreUnavailable` throughout."""

    def __init__(
        self,
        *,
        ledger: Ledger[Decision],
        upkeep: UpkeepStore,
        pools: PoolStore,
        history: HistoryStore,
        purchases: Purchases,
        releasing: Releasing,
        shops: Shops,
        now: Now = wall_clock,
    ) -> None:
        self._ledger = ledger
        self._upkeep = upkeep
        self._pools = pools
        self._purchases = purchases
        self._releasing = releasing
        self._now = now
        self._looked_ms = 0
        self._judge = Judge(
            ledger=ledger,
            pools=pools,
            history=history,
            purchases=purchases,
            releasing=releasing,
            shops=shops,
            now=now,
        )

    async def rules(self, pool_id: str) -> Upkeep:
        """Rules and spending of a pool. Raises `PoolUnknown`."""
        await self._pools.read(pool_id)
        return await self._upkeep.read(pool_id, month=month_of(self._now()))

    async def put_rules(self, pool_id: str, rules: ScalingRules | None) -> None:
        """Let a pool scale by these rules, or no more.

        Raises `PoolUnknown`, and what an order of such numbers would raise.
        """
        if rules is not None:
            rules = await self.checked(pool_id, rules)
        await self._upkeep.put_rules(pool_id, rules)

    async def checked(self, pool_id: str, rules: ScalingRules) -> ScalingRules:
        """The rules as they would be kept. Raises as `put_rules`; changes nothing."""
        pool = await self._pools.read(pool_id)
        self._purchases.check_vendor(rules.vendor or pool.settings.vendor or "")
        return replace(rules, wanted=checked(rules.wanted, pool=pool))

    async def verdict(self, pool_id: str) -> Verdict | None:
        """What would be decided this moment; None without rules. Changes nothing."""
        pool = await self._pools.read(pool_id)
        upkeep = await self._upkeep.read(pool_id, month=month_of(self._now()))
        return (
            None if upkeep.rules is None else await self._judge.verdict(pool, upkeep, upkeep.rules)
        )

    async def read(self, decision_id: str) -> Decision:
        """One decision. Raises `DecisionUnknown`."""
        return (await self._kept(decision_id)).record

    async def page(
        self, *, cursor: str | None = None, limit: int, pool_id: str | None = None
    ) -> Page[Decision]:
        """Some decisions, newest first. Raises `InvalidRequest` for a cursor that is not ours."""
        return await page_of(self._ledger, cursor=cursor, limit=limit, pool_id=pool_id)

    async def approve(self, decision_id: str) -> Decision:
        """Let a proposal be carried out. Raises `DecisionUnknown`, `PurchaseClosed`."""
        return await self._answer(decision_id, DecisionState.APPROVED)

    async def reject(self, decision_id: str) -> Decision:
        """Let a proposal be. Raises `DecisionUnknown`, `PurchaseClosed`."""
        return await self._answer(decision_id, DecisionState.REJECTED)

    async def round(self) -> None:
        """Carry out what is approved; once a minute look at every pool that has rules."""
        now_ms = self._now()
        for decision_id in await self._ledger.due(now_ms):
            await self._go_on(decision_id)
        if now_ms - self._looked_ms < EVERY_MS:
            return
        self._looked_ms = now_ms
        for pool_id in await self._upkeep.scaled():
            try:
                await self.look(pool_id)
            except StoreUnavailable:
                raise
            except PoolUnknown:
                await self._forget(pool_id)
            except DniError as error:
                log.warning("autoscale.failed", pool=pool_id, code=error.code)

    async def look(self, pool_id: str) -> Decision | None:
        """Look at one pool and decide; the decision, if one was put on record."""
        now_ms = self._now()
        pool = await self._pools.read(pool_id)
        upkeep = await self._upkeep.read(pool_id, month=month_of(now_ms))
        if upkeep.rules is None or pool.settings.paused or await self._ledger.open(pool_id):
            return None
        verdict = await self._judge.verdict(pool, upkeep, upkeep.rules)
        if verdict.action is Action.STAY and not verdict.blocked:
            return None
        before = await self._judge.last(upkeep, verdict.action.value)
        if before is not None and (
            _refused_lately(before, verdict, now_ms) or await self._in_vain(before, now_ms)
        ):
            return None
        decision = _decision(pool_id, verdict, upkeep.rules, now_ms)
        last = await self._judge.last(upkeep, "blocked")
        if _says_the_same(decision, last) and now_ms - (last or decision).created_ms < (
            BLOCKED_AGAIN_MS
        ):
            return None
        kind = "blocked" if decision.closed else decision.action.value
        look_at = now_ms + PROPOSED_FOR_MS
        if decision.state is DecisionState.APPROVED:
            look_at = now_ms
        kept = await self._write(decision, None, look_at_ms=look_at, latest=f"latest:{kind}")
        if decision.state is DecisionState.APPROVED:
            await self._go_on(decision.id)
        return kept.record

    async def _go_on(self, decision_id: str) -> None:
        kept = await self._ledger.read(decision_id)
        if kept is None or kept.record.closed:
            return
        decision = kept.record
        try:
            if decision.state is DecisionState.PROPOSED:
                ended = replace(decision, state=DecisionState.EXPIRED)
                await self._write(ended, kept, look_at_ms=None)
            elif decision.action is Action.GROW:
                await self._grow(kept)
            else:
                await self._shrink(kept)
        except StoreUnavailable:
            raise
        except EditConflict:
            return
        except DniError as error:
            log.warning("autoscale.not_applied", decision=decision.id, code=error.code)
            ended = replace(decision, state=DecisionState.BLOCKED, problem=error.code)
            await self._write(ended, kept, look_at_ms=None)

    async def _grow(self, kept: Kept[Decision]) -> None:
        decision = kept.record
        upkeep = await self._upkeep.read(decision.pool_id, month=month_of(self._now()))
        recalled = 0
        for release in await self._releasing.open(decision.pool_id):
            if recalled < decision.recall and release.state is ReleaseState.RESTING:
                try:
                    await self._releasing.cancel(release.id)
                except (PurchaseClosed, EditConflict):
                    continue
                recalled += 1
        purchase_id = ""
        if decision.buy and upkeep.rules is not None:
            purchase = await self._purchases.place(
                PurchaseRequest(
                    pool_id=decision.pool_id,
                    wanted=upkeep.rules.wanted,
                    quantity=decision.buy,
                    vendor=upkeep.rules.vendor,
                    origin=decision.id,
                    token=decision.id.rpartition("_")[2],
                )
            )
            purchase_id = purchase.id
        applied = replace(decision, state=DecisionState.APPLIED, purchase_id=purchase_id)
        await self._write(applied, kept, look_at_ms=None)

    async def _shrink(self, kept: Kept[Decision]) -> None:
        decision = kept.record
        upkeep = await self._upkeep.read(decision.pool_id, month=month_of(self._now()))
        if not decision.numbers:
            idle = await self._judge.releasable(decision.pool_id)
            decision = replace(decision, numbers=tuple(idle[: decision.release]))
            kept = await self._write(decision, kept, look_at_ms=self._now())
        rest_s = 0 if upkeep.rules is None else upkeep.rules.rest_s
        token = decision.id.rpartition("_")[2]
        for at, number in enumerate(decision.numbers):
            try:
                await self._releasing.begin(
                    decision.pool_id,
                    number,
                    rest_s=rest_s,
                    origin=decision.id,
                    token=f"{token}{at}",
                )
            except NumberUnknown:
                continue
        await self._write(replace(decision, state=DecisionState.APPLIED), kept, look_at_ms=None)

    async def _answer(self, decision_id: str, state: DecisionState) -> Decision:
        kept = await self._kept(decision_id)
        if kept.record.state is not DecisionState.PROPOSED:
            message = f"The decision is {kept.record.state} already."
            raise PurchaseClosed(message)
        answered = replace(kept.record, state=state)
        look_at = self._now() if state is DecisionState.APPROVED else None
        return (await self._write(answered, kept, look_at_ms=look_at)).record

    async def _kept(self, decision_id: str) -> Kept[Decision]:
        kept = await self._ledger.read(decision_id)
        if kept is None:
            message = "There is no decision with this id."
            raise DecisionUnknown(message)
        return kept

    async def _in_vain(self, before: Decision, now_ms: int) -> bool:
        """Whether the last order brought nothing, within the hour: another would bring no more."""
        if not before.purchase_id or now_ms - before.created_ms >= IN_VAIN_MS:
            return False
        try:
            order = await self._purchases.read(before.purchase_id)
        except PurchaseUnknown:
            return False
        return order.state is PurchaseState.FAILED

    async def _forget(self, pool_id: str) -> None:
        try:
            await self._upkeep.put_rules(pool_id, None)
        except PoolUnknown:
            return

    async def _write(
        self,
        decision: Decision,
        kept: Kept[Decision] | None,
        *,
        look_at_ms: int | None,
        latest: str = "",
    ) -> Kept[Decision]:
        decision = replace(decision, updated_ms=self._now())
        changed = kept is None or kept.record.state is not decision.state
        return await self._ledger.put(
            decision,
            seen=kept,
            look_at_ms=look_at_ms,
            latest=latest,
            event=_event(decision) if changed else None,
        )


def _decision(pool_id: str, verdict: Verdict, rules: ScalingRules, now_ms: int) -> Decision:
    if verdict.blocked:
        state = DecisionState.BLOCKED
    elif rules.dry_run:
        state = DecisionState.DRY_RUN
    elif rules.mode is Mode.AUTOMATIC or (verdict.buy == 0 and verdict.release == 0):
        state = DecisionState.APPROVED
    else:
        state = DecisionState.PROPOSED
    return Decision(
        id=record_id("dec", pool_id, new_record_token()),
        pool_id=pool_id,
        created_ms=now_ms,
        updated_ms=now_ms,
        action=verdict.action,
        state=state,
        size=verdict.size,
        needed=verdict.needed,
        buy=verdict.buy,
        recall=verdict.recall,
        release=verdict.release,
        reasons=tuple(verdict.reasons),
    )


def _refused_lately(before: Decision, verdict: Verdict, now_ms: int) -> bool:
    """Whether somebody said no to as much as this within a day, or did not say anything."""
    return (
        before.state in {DecisionState.REJECTED, DecisionState.EXPIRED}
        and now_ms - before.updated_ms < PROPOSED_FOR_MS
        and (before.action is not Action.GROW or verdict.needed <= before.needed)
    )


def _says_the_same(decision: Decision, last: Decision | None) -> bool:
    """Whether it is what was on record before, with nothing to follow from either."""
    return (
        last is not None
        and decision.closed
        and decision.state is last.state
        and decision.action is last.action
        and [each.code for each in decision.reasons] == [each.code for each in last.reasons]
    )


def _event(decision: Decision) -> Mapping[str, str]:
    told = {
        "decision_id": decision.id,
        "action": decision.action.value,
        "state": decision.state.value,
        "size": decision.size,
        "needed": decision.needed,
        "buy": decision.buy,
        "recall": decision.recall,
        "release": decision.release,
        "purchase_id": decision.purchase_id or None,
        "reasons": [{"code": each.code, "detail": each.detail} for each in decision.reasons],
    }
    return {"t": "autoscale.decided", "p": decision.pool_id, "j": orjson.dumps(told).decode()}
