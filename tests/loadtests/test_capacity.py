"""The paper model of docs/scale.md is reckoned, not typed."""

import pytest

from loadtests.capacity import PAGE, Assumed, Measured, Model, reckoned


def test_the_page_says_what_the_figures_give() -> None:
    """Whoever corrects a measured figure reckons anew: `python -m loadtests.capacity`."""
    page = PAGE.read_text("utf-8")

    assert reckoned(page) == page


def test_another_figure_changes_the_reckoning() -> None:
    """It is the rows of the page that count."""
    page = PAGE.read_text("utf-8")
    seen = Measured.read(page)
    row = "the same call: CPU of Redis"

    doubled = page.replace(
        f"| {row} | {seen.heartbeat_redis_us:g} µs |",
        f"| {row} | {2 * seen.heartbeat_redis_us:g} µs |",
    )

    assert reckoned(doubled) != page
    assert Measured.read(doubled).heartbeat_redis_us == 2 * seen.heartbeat_redis_us


def test_a_row_that_is_missing_is_named() -> None:
    """Nothing is reckoned from nothing."""
    with pytest.raises(ValueError, match="forwarder"):
        Measured.read(PAGE.read_text("utf-8").replace("| forwarder, batched", "| it"))


def test_the_reckoning_by_hand() -> None:
    """One figure of each kind, worked out on paper."""
    seen = Measured(
        assign_us=40, assign_redis_us=50, heartbeat_us=20, heartbeat_redis_us=25, single_us=10,
        cluster_us=13, client_us=110, forwarded_per_s=1_000, number_b=200, lease_b=700, event_b=250,
    )  # fmt: skip
    model = Model(seen, Assumed(assigns_per_s=1_000, numbers=100_000, busy=0.5))

    assert model.leases == 200 * 330
    assert model.redis_busy == pytest.approx(0.05 + 0.15)
    assert model.planned(model.redis_busy) == 1
    assert model.service_busy == pytest.approx(0.04 + 0.12)
    assert model.spread_busy(seen.spread_us) == pytest.approx(0.021)
    assert model.forwarders == 1
    assert model.data_b == 100_000 * 200 + 66_000 * 700
    assert model.cores == 2 * 1 + 1 + 1 + 1
    assert model.largest_pool == pytest.approx(10_000)
