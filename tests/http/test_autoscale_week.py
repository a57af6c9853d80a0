"""A simulated week of a pool that scales itself: real leases, real history, a driven clock."""

import random
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.support.buying import Market
from tests.support.service import Service
from tests.support.vendors.standin import Vendor

TARGET, BUDGET = 0.01, Decimal(30)
TICK_S = 600
DAY_S = 86_400


def _visitors_an_hour(at_s: float) -> float:
    """Quiet nights, an afternoon peak, half of it at the weekend."""
    hour, day = at_s / 3600 % 24, int(at_s // DAY_S) % 7
    return (3 + 72 * max(0.0, 1 - abs(hour - 15) / 7)) * (0.5 if day >= 5 else 1.0)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_week_stays_under_target_and_budget_without_flapping(service: Service) -> None:
    """From two numbers to what the week needs, and no number is let go that is needed again."""
    market, clock = Market(service, Vendor()), service.clock
    sweeper = service.app.sweeper()
    site = await service.pool(vendor="sandbox", min_size=4, max_size=60)
    rules = {"area_code": "602", "mode": "automatic", "turned_away_target": TARGET,
             "budget_per_month": str(BUDGET)}  # fmt: skip
    put = await service.admin("PUT", f"/pools/{site.pool_id}/autoscale", rules)
    assert put.status_code == 200, put.text
    chance = random.Random(20_27)  # noqa: S311 -- a simulation, with a seed
    start_ms = clock.now_ms
    came = lost = 0
    moment = 0.0

    for tick_s in range(0, 7 * DAY_S, TICK_S):
        while moment < tick_s:
            clock.now_ms = start_ms + round(moment * 1000)
            (shown,) = await site.view(f"v{came}")
            came += 1
            lost += shown.status != "leased"
            moment += chance.expovariate(_visitors_an_hour(moment) / 3600)
        clock.now_ms = start_ms + tick_s * 1000
        await sweeper.sweep_once()
        await market.look()
        await market.round()

    decided = (await market.read(f"/autoscale?pool={site.pool_id}&limit=200"))["decisions"]
    steps = [each["action"] for each in reversed(decided) if each["state"] == "applied"]
    shown_now = await market.read(f"/pools/{site.pool_id}/autoscale")
    assert came > 2_000
    assert lost / came < TARGET, f"{lost} of {came}"
    assert Decimal(shown_now["spending"]["total"]) <= BUDGET
    assert len(await market.numbers(site.pool_id)) == shown_now["now"]["size"] > 10
    assert sum(before != after for before, after in pairwise(steps)) <= 1
    assert all(each["reasons"] for each in decided)
