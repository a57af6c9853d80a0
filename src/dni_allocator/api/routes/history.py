"""What happened in a pool, minute by minute or hour by hour."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from dni_allocator.api.auth import opens
from dni_allocator.api.context import ServicesDep
from dni_allocator.api.history_schemas import (
    BucketOut,
    EndsOut,
    HistoryOut,
    LeasedOut,
    ReuseGapsOut,
)
from dni_allocator.domain.history import Bucket, Resolution
from dni_allocator.domain.moment import instant_or_none, moment
from dni_allocator.services.access import Scope

router = APIRouter(prefix="/pools/{pool_id}", tags=["pools"])
reader = Depends(opens(Scope.READ))

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@router.get("/history", summary="What happened in a pool", dependencies=[reader])
async def read_history(
    pool_id: str,
    services: ServicesDep,
    *,
    resolution: Resolution = Resolution.HOUR,
    since: Annotated[
        AwareDatetime | None,
        Query(alias="from", description="Left out: 60 minutes, or 48 hours."),
    ] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Left out: now.")] = None,
) -> HistoryOut:
    """Read arrivals, ends, occupancy and reuse gaps, bucket by bucket.

    Minutes are kept for 48 hours, hours for five weeks. It lags some seconds behind.
    """
    span = await services.history.of(
        pool_id, resolution, start_ms=instant_or_none(since), end_ms=instant_or_none(until)
    )
    return HistoryOut(
        pool_id=pool_id,
        resolution=span.resolution,
        start=moment(span.start_ms),
        end=moment(span.end_ms),
        buckets=[_bucket_out(bucket) for bucket in span.buckets],
    )


def _bucket_out(bucket: Bucket) -> BucketOut:
    mean, numbers = bucket.leased_mean, bucket.numbers_mean
    leased = None
    if mean is not None and numbers is not None:
        leased = LeasedOut(mean=round(mean, 2), peak=bucket.leased_peak, numbers=round(numbers, 2))
    hold = bucket.mean_hold_s
    return BucketOut(
        start=moment(bucket.start_ms),
        arrivals=bucket.arrivals,
        returned=bucket.returned,
        ended=EndsOut(closed=bucket.closed, idle=bucket.idle, otherwise=bucket.otherwise),
        mean_hold_s=None if hold is None else round(hold, 1),
        overflow=bucket.overflow,
        turned_away=bucket.turned_away,
        leased=leased,
        busiest_minute=bucket.busiest_minute,
        reuse_gaps=_gaps_out(bucket),
    )


def _gaps_out(bucket: Bucket) -> ReuseGapsOut | None:
    found = [bucket.gap_quantile_s(share) for share in _QUANTILES]
    quantiles = [round(each, 1) for each in found if each is not None]
    if not quantiles:
        return None
    p05, p25, p50, p75, p95 = quantiles
    return ReuseGapsOut(
        count=sum(bucket.gaps.values()), p05_s=p05, p25_s=p25, p50_s=p50, p75_s=p75, p95_s=p95
    )
