"""The endpoint record: who gets what, what signs, and when failing is too long."""

import pytest

from dni_allocator.domain.webhook import (
    DISABLE_AFTER_MS,
    LONGEST_HOLD_S,
    Endpoint,
    Health,
    OldSecret,
    hold_s,
)

ENDPOINT = Endpoint(id="whe_a", url="https://example.com/", secret="whsec_x", created_ms=5)
DAY_MS = 24 * 3600 * 1000


def test_a_record_is_read_as_it_was_written() -> None:
    """Nothing of an endpoint is lost on its way through the store."""
    endpoint = Endpoint(
        id="whe_b", url="https://example.com/", secret="whsec_y", created_ms=6,
        event_types=("lease.ended",), pools=("pool_a",), headers=(("x-team", "crm"),),
        rate_limit=7, body="ndjson", batch_size=20, description="CRM", start="oldest",
        old_secrets=(OldSecret("whsec_x", 9),),
    )  # fmt: skip

    assert Endpoint.from_json(endpoint.to_json()) == endpoint
    assert Endpoint.from_json(ENDPOINT.to_json()) == ENDPOINT


@pytest.mark.parametrize(
    ("types", "pools", "event", "wanted"),
    [
        ((), (), ("lease.ended", "pool_a"), True),
        (("lease.ended",), (), ("lease.ended", "pool_a"), True),
        (("lease.ended",), (), ("number.assigned", "pool_a"), False),
        ((), ("pool_a",), ("lease.ended", "pool_a"), True),
        ((), ("pool_a",), ("lease.ended", "pool_b"), False),
        ((), ("pool_a",), ("endpoint.disabled", ""), False),
        (("lease.ended",), ("pool_a",), ("visitor.erased", ""), True),
    ],
)
def test_types_and_pools_choose(
    types: tuple[str, ...], pools: tuple[str, ...], event: tuple[str, str], *, wanted: bool
) -> None:
    """Both must agree; naming none means all."""
    endpoint = Endpoint(id="w", url="u", secret="s", created_ms=1, event_types=types, pools=pools)

    assert endpoint.wants(*event) is wanted


def test_a_replaced_secret_signs_until_its_time_is_over() -> None:
    """The present one always does, and stands first."""
    endpoint = Endpoint(
        id="w", url="u", secret="new", created_ms=1, old_secrets=(OldSecret("old", 100),)
    )

    assert endpoint.secrets_at(99) == ("new", "old")
    assert endpoint.secrets_at(100) == ("new",)


def test_five_days_of_failing_are_too_long() -> None:
    """From the first failed attempt to the last; silence is no failure."""
    assert Health(None, 1, 1 + DISABLE_AFTER_MS).has_failed_too_long()
    assert not Health(None, 1, DISABLE_AFTER_MS).has_failed_too_long()
    assert not Health(10**15, None, None).has_failed_too_long()


@pytest.mark.parametrize(
    ("one", "other", "since"),
    [
        (Health(), Health(None, 5 * DAY_MS, 6 * DAY_MS), 5 * DAY_MS),
        (Health(None, 1, 2), Health(None, 3, 4), 1),
        (Health(3 * DAY_MS, None, None), Health(None, 1, 9 * DAY_MS), 3 * DAY_MS),
        (Health(9 * DAY_MS, None, None), Health(None, 1, 3 * DAY_MS), None),
    ],
)
def test_what_one_shard_delivered_counts_for_all(
    one: Health, other: Health, since: int | None
) -> None:
    """An endpoint that takes anything is no dead one; either way round."""
    assert one.joined(other).failing_since == since
    assert other.joined(one).failing_since == since


@pytest.mark.parametrize("attempts", range(1, 30))
def test_a_batch_is_never_held_for_long(attempts: int) -> None:
    """All behind it waits too."""
    assert 4 <= hold_s(attempts, random=0.0) <= hold_s(attempts, random=0.999)
    assert hold_s(attempts, random=0.999) <= 1.2 * LONGEST_HOLD_S
