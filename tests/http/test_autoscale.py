"""Pools that scale themselves: rules, decisions on record, a person's word, and what follows."""

import pytest

from dni_allocator.domain.errors import StoreUnavailable
from dni_allocator.domain.purchase import Purchase
from dni_allocator.services.purchases import PurchaseRequest
from tests.http.test_bad_input import assert_problem
from tests.support.buying import Json, Market
from tests.support.rig import fictional
from tests.support.service import Service, Site
from tests.support.vendors.standin import Vendor

RULES: Json = {"vendor": "sandbox", "area_code": "602", "mode": "automatic"}
DESTINATION = "+16023133897"


@pytest.fixture
def market(service: Service) -> Market:
    """A service whose numbers come from the sandbox."""
    return Market(service, Vendor())


async def scaling_pool(
    market: Market, *, numbers: int = 2, rules: Json, **settings: object
) -> Site:
    """A pool with bought numbers and rules."""
    site = await market.service.pool(**settings)
    if numbers:
        made = await market.order(site.pool_id, vendor="sandbox", quantity=numbers, area_code="480")
        await market.until_closed(made)
    await put_rules(market, site, rules)
    return site


async def put_rules(market: Market, site: Site, rules: Json) -> None:
    """Let the pool scale by these."""
    answer = await market.service.admin("PUT", f"/pools/{site.pool_id}/autoscale", rules)
    assert answer.status_code == 200, answer.text


async def crowd(market: Market, site: Site, visitors: int) -> None:
    """So many visitors come, and somebody looks how full the pool is, before and after."""
    await market.look()
    for visitor in range(visitors):
        await site.ask(f"v{visitor}")
    await market.look()


async def minute(market: Market) -> None:
    """A minute later the pools are looked at, and what follows is carried out."""
    await market.round(after_s=61)
    await market.round()


async def decisions(market: Market, site: Site) -> list[Json]:
    """What was decided for the pool, the newest first."""
    found: list[Json] = (await market.read(f"/autoscale?pool={site.pool_id}"))["decisions"]
    return found


def codes(decision: Json) -> list[str]:
    """Its reasons."""
    return [each["code"] for each in decision["reasons"]]


async def test_a_full_pool_grows_by_itself_and_says_why(market: Market) -> None:
    """Decision, order, numbers, event: each names the one before."""
    site = await scaling_pool(market, rules=RULES)
    await crowd(market, site, 6)

    await minute(market)

    (decision,) = await decisions(market, site)
    assert (decision["action"], decision["state"], decision["size"]) == ("grow", "applied", 2)
    assert {"turned_away", "load"} <= set(codes(decision))
    purchase = await market.read(f"/purchases/{decision['purchase_id']}")
    assert (purchase["origin"], purchase["state"]) == (decision["id"], "done")
    assert purchase["attached"] == decision["buy"] > 0
    assert len(await market.numbers(site.pool_id)) == 2 + decision["buy"]
    events = (await market.read("/events?type=autoscale.decided"))["events"]
    assert [each["data"]["state"] for each in events] == ["approved", "applied"]
    assert events[-1]["data"]["decision_id"] == decision["id"]
    assert events[-1]["data"]["buy"] == decision["buy"]


async def test_it_grows_again_after_the_cool_down_and_then_is_content(market: Market) -> None:
    """Step by step, until nobody is turned away any more."""
    site = await scaling_pool(market, rules={**RULES, "cool_down_s": 120, "grow_share": 1.0})
    sizes = []
    for _ in range(8):
        await crowd(market, site, 6)
        await minute(market)
        sizes.append(len(await market.numbers(site.pool_id)))

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == sizes[-2]
    shown = await market.read(f"/pools/{site.pool_id}/autoscale")
    assert (shown["now"]["action"], shown["now"]["blocked"]) == ("stay", False)


async def test_a_decision_whose_maker_died_is_carried_out_once(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead after the order was placed and before that was noted: the next one finds the order."""
    site = await scaling_pool(market, rules=RULES)
    await crowd(market, site, 6)
    purchases = market.service.app.services.purchases
    place = purchases.place

    async def dies(request: PurchaseRequest) -> Purchase:
        await place(request)
        raise StoreUnavailable("dead")

    with monkeypatch.context() as dying:
        dying.setattr(purchases, "place", dies)
        with pytest.raises(StoreUnavailable):
            await market.round(after_s=61)
    (approved,) = await decisions(market, site)

    await minute(market)

    (decision,) = await decisions(market, site)
    assert (approved["state"], decision["state"]) == ("approved", "applied")
    orders = (await market.read(f"/purchases?pool={site.pool_id}"))["purchases"]
    assert [each["origin"] for each in orders] == [decision["id"], "operator"]
    assert len(await market.numbers(site.pool_id)) == 2 + decision["buy"]


async def test_a_budget_in_another_currency_buys_nothing(market: Market) -> None:
    """Dollars cannot be counted against crowns."""
    site = await scaling_pool(
        market, rules={**RULES, "budget_per_month": "1000", "currency": "SEK"}
    )
    await crowd(market, site, 6)
    await minute(market)

    (decision,) = await decisions(market, site)
    assert decision["state"] == "blocked"
    assert "price_unknown" in codes(decision)


async def test_an_order_that_brought_nothing_is_not_repeated_every_few_minutes(
    market: Market,
) -> None:
    """No stock under the ceiling: an hour later it is tried again."""
    site = await scaling_pool(market, rules={**RULES, "price_ceiling": "0.10", "cool_down_s": 0})
    await crowd(market, site, 6)
    for _ in range(5):
        await minute(market)
    within_the_hour = len(await decisions(market, site))

    market.service.clock.advance(seconds=3600)
    await crowd(market, site, 6)
    await minute(market)

    assert within_the_hour == 1
    assert len(await decisions(market, site)) == 2


async def test_a_proposal_waits_for_a_person(market: Market) -> None:
    """Business approval: nothing is bought before somebody says so."""
    site = await scaling_pool(market, rules={**RULES, "mode": "approval"})
    await crowd(market, site, 6)
    await minute(market)
    await minute(market)
    (proposed,) = await decisions(market, site)
    assert proposed["state"] == "proposed"
    assert len(await market.numbers(site.pool_id)) == 2

    answer = await market.service.admin("POST", f"/autoscale/{proposed['id']}/approve")
    await minute(market)

    assert answer.json()["state"] == "approved"
    decision = await market.read(f"/autoscale/{proposed['id']}")
    assert decision["state"] == "applied"
    assert len(await market.numbers(site.pool_id)) == 2 + decision["buy"]
    again = await market.service.admin("POST", f"/autoscale/{proposed['id']}/reject")
    assert_problem(again, 409, "purchase-closed")


async def test_a_rejected_proposal_is_not_made_again_the_same_day(market: Market) -> None:
    """No means no; a day later the question may be asked again."""
    site = await scaling_pool(market, rules={**RULES, "mode": "approval"})
    await crowd(market, site, 6)
    await minute(market)
    (proposed,) = await decisions(market, site)
    await market.service.admin("POST", f"/autoscale/{proposed['id']}/reject")

    for _ in range(7):
        await minute(market)
    rejected = await decisions(market, site)
    market.service.clock.advance(seconds=86_400)
    await crowd(market, site, 6)
    await minute(market)

    assert [each["state"] for each in rejected] == ["rejected"]
    assert [each["state"] for each in await decisions(market, site)] == ["proposed", "rejected"]


async def test_a_proposal_nobody_answers_expires(market: Market) -> None:
    """What was right a day ago need not be today."""
    site = await scaling_pool(market, rules={**RULES, "mode": "approval"})
    await crowd(market, site, 6)
    await minute(market)

    await market.round(after_s=86_400)

    assert [each["state"] for each in await decisions(market, site)] == ["expired"]


async def test_a_dry_run_decides_and_does_nothing(market: Market) -> None:
    """To see what would be, before it is."""
    site = await scaling_pool(market, rules={**RULES, "dry_run": True})
    await crowd(market, site, 6)
    for _ in range(3):
        await minute(market)

    (decision,) = await decisions(market, site)
    assert (decision["action"], decision["state"]) == ("grow", "dry_run")
    assert len(await market.numbers(site.pool_id)) == 2


async def test_the_budget_of_the_month_is_not_overdrawn(market: Market) -> None:
    """Two numbers cost two dollars; three more are all there is for."""
    rules = {**RULES, "grow_share": 5.0, "cool_down_s": 0, "budget_per_month": "5.00"}
    site = await scaling_pool(market, rules=rules)
    await crowd(market, site, 12)
    for _ in range(4):
        await minute(market)

    assert len(await market.numbers(site.pool_id)) == 5
    blocked, grown = await decisions(market, site)
    assert (grown["state"], grown["buy"]) == ("applied", 3)
    assert (blocked["state"], blocked["action"]) == ("blocked", "stay")
    assert "budget" in codes(blocked)
    spending = (await market.read(f"/pools/{site.pool_id}/autoscale"))["spending"]
    assert spending == {"held": "5", "released": "0", "upfront": "0", "total": "5"}


async def test_the_least_and_the_greatest_size_are_kept(market: Market) -> None:
    """Both are the pool's own settings."""
    site = await scaling_pool(market, numbers=0, rules=RULES, min_size=3, max_size=4)
    await minute(market)
    assert len(await market.numbers(site.pool_id)) == 3

    await crowd(market, site, 12)
    market.service.clock.advance(seconds=300)
    for _ in range(3):
        await minute(market)

    assert len(await market.numbers(site.pool_id)) == 4


async def test_idle_numbers_rest_and_come_back_when_they_are_needed(market: Market) -> None:
    """Slowly down by way of quarantine, never a number that somebody holds, and up for nothing."""
    rules = {**RULES, "shrink_step": 3, "rest_s": 600_000}
    site = await scaling_pool(market, numbers=12, rules=rules)
    for _ in range(66):
        await crowd(market, site, 1)
        market.service.clock.advance(seconds=3 * 3600)
    held = await site.number("v0")
    await market.look()
    await market.round()

    (decision,) = await decisions(market, site)
    assert (decision["action"], decision["state"]) == ("shrink", "applied")
    assert len(decision["numbers"]) == 3
    assert held not in decision["numbers"]
    resting = (await market.read(f"/releases?pool={site.pool_id}"))["releases"]
    assert {each["state"] for each in resting} == {"resting"}
    assert {each["origin"] for each in resting} == {decision["id"]}
    assert {each["number"] for each in resting} == set(decision["numbers"])

    await put_rules(market, site, {**rules, "grow_share": 1.0})
    await crowd(market, site, 20)
    await minute(market)

    grown = (await decisions(market, site))[0]
    assert (grown["action"], grown["recall"]) == ("grow", 3)
    states = (await market.read(f"/releases?pool={site.pool_id}"))["releases"]
    assert {each["state"] for each in states} == {"cancelled"}


async def test_numbers_that_were_attached_by_hand_are_never_let_go(market: Market) -> None:
    """Nobody said that they may be given away; only the one that was bought may go."""
    site = await market.service.pool(*fictional(12))
    made = await market.order(site.pool_id, vendor="sandbox", area_code="480")
    bought = (await market.until_closed(made))["lines"][0]["number"]
    await put_rules(market, site, {**RULES, "shrink_step": 5})
    for _ in range(66):
        await crowd(market, site, 1)
        market.service.clock.advance(seconds=3 * 3600)
    # The one that was leased last has been released only by now.
    await market.service.app.sweeper().sweep_once()

    await minute(market)

    (decision,) = await decisions(market, site)
    assert (decision["action"], decision["release"], decision["numbers"]) == ("shrink", 1, [bought])


async def test_decisions_are_paged(market: Market) -> None:
    """The newest first, each once."""
    site = await scaling_pool(market, rules={**RULES, "cool_down_s": 0, "step_cap": 1})
    for _ in range(3):
        await crowd(market, site, 6)
        await minute(market)
    every = [each["id"] for each in await decisions(market, site)]

    first = await market.read("/autoscale?limit=2")
    rest = await market.read(f"/autoscale?limit=2&cursor={first['next_cursor']}")

    assert len(every) == 3
    assert [each["id"] for each in first["decisions"] + rest["decisions"]] == every
    assert rest["next_cursor"] is None


async def test_a_paused_pool_and_one_without_rules_are_left_alone(market: Market) -> None:
    """Somebody has stopped it."""
    paused = await scaling_pool(market, rules=RULES)
    await crowd(market, paused, 6)
    await market.service.admin("PATCH", f"/pools/{paused.pool_id}", {"paused": True})
    await minute(market)
    await market.service.admin("PATCH", f"/pools/{paused.pool_id}", {"paused": False})
    deleted = await market.service.admin("DELETE", f"/pools/{paused.pool_id}/autoscale")
    await minute(market)

    assert deleted.status_code == 204
    assert await decisions(market, paused) == []
    shown = await market.read(f"/pools/{paused.pool_id}/autoscale")
    assert (shown["rules"], shown["now"]) == (None, None)


async def test_a_deleted_pool_leaves_no_rules_behind(market: Market) -> None:
    """The next look forgets it."""
    site = await scaling_pool(market, numbers=0, rules=RULES)
    await market.service.admin("DELETE", f"/pools/{site.pool_id}")

    await minute(market)

    assert not [name for name in market.service.contents() if name.endswith(":scaled")]


async def test_rules_are_shown_as_they_were_put(market: Market) -> None:
    """What is left out has its default."""
    rules = {
        **RULES, "budget_per_month": "99.50", "price_ceiling": "1.50", "step_cap": 7,
        "headroom_share": 0.25, "shrinks": False,
    }  # fmt: skip
    site = await scaling_pool(market, numbers=0, rules=rules)

    shown = (await market.read(f"/pools/{site.pool_id}/autoscale"))["rules"]

    assert rules.items() <= shown.items()
    assert (shown["cool_down_s"], shown["turned_away_target"]) == (300, 0.01)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"vendor": "acme"}, 404, "vendor-unknown"),
        ({"vendor": "telnyx"}, 409, "vendor-not-configured"),
        ({"vendor": None}, 422, "invalid-request"),
        ({"turned_away_target": 0}, 422, "invalid-request"),
        ({"budget_per_month": "-1"}, 422, "invalid-request"),
        ({"step_cap": 0}, 422, "invalid-request"),
        ({"size": 5}, 422, "invalid-request"),
        ({"prefix": "+49"}, 422, "invalid-request"),
    ],
)
async def test_rules_that_cannot_be_are_refused(
    market: Market, change: Json, status: int, code: str
) -> None:
    """Clearly, and nothing is written."""
    site = await market.service.pool()
    before = market.service.contents()

    path = f"/pools/{site.pool_id}/autoscale"
    answer = await market.service.admin("PUT", path, {**RULES, **change})

    assert_problem(answer, status, code)
    assert market.service.contents() == before


async def test_unknown_pools_and_decisions_are_told_as_such(market: Market) -> None:
    """404 with a code."""
    unknown_pool = await market.service.admin("PUT", "/pools/pool_none/autoscale", RULES)
    assert_problem(unknown_pool, 404, "pool-unknown")
    assert_problem(await market.service.admin("GET", "/autoscale/dec_x_y"), 404, "decision-unknown")
