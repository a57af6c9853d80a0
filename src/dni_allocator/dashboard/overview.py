"""What pages show of a pool: what it holds now, and its last hour and days, gathered at once."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from dni_allocator.api.context import Services
from dni_allocator.dashboard.charts import Series, area
from dni_allocator.domain.history import Bucket, Resolution, joined
from dni_allocator.domain.moment import moment
from dni_allocator.domain.pool import Occupancy, Pool
from dni_allocator.services.history import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One pool in the list."""

    pool: Pool
    held: Occupancy
    hour: Span
    """The last 60 minutes."""

    @property
    def sum(self) -> Bucket:
        """The hour as one."""
        return joined(self.hour.buckets)

    @property
    def away(self) -> int:
        """Page views of the last hour that got no lease."""
        return self.sum.overflow + self.sum.turned_away

    @property
    def leased(self) -> list[float | None]:
        """Numbers leased, minute by minute."""
        return leased_of(self.hour)


async def cards(services: Services, pools: Iterable[Pool]) -> list[Card]:
    """The pools with what they hold and did; two round trips each, all under way together."""

    async def card(pool: Pool) -> Card:
        held, hour = await asyncio.gather(
            services.pools.occupancy(pool.id), services.history.of(pool.id, Resolution.MINUTE)
        )
        return Card(pool=pool, held=held, hour=hour)

    return await asyncio.gather(*(card(pool) for pool in pools))


def leased_of(span: Span) -> list[float | None]:
    """Mean numbers leased in each bucket; None where nobody looked."""
    return [bucket.leased_mean for bucket in span.buckets]


def occupancy_chart(span: Span) -> Markup:
    """Numbers leased against numbers there are."""
    series = [
        Series("in circulation", "numbers", [each.numbers_mean for each in span.buckets]),
        Series("most leased", "peak", [each.leased_peak or None for each in span.buckets]),
        Series("leased", "leased", leased_of(span)),
    ]
    return area(series, ticks_of(span), f"Occupancy by {span.resolution}")


def arrivals_chart(span: Span) -> Markup:
    """New leases, and page views without one."""
    series = [
        Series("new leases", "leased", [each.arrivals for each in span.buckets]),
        Series("overflow", "peak", [each.overflow for each in span.buckets]),
        Series("turned away", "away", [each.turned_away for each in span.buckets]),
    ]
    return area(series, ticks_of(span), f"Arrivals by {span.resolution}")


def ticks_of(span: Span) -> list[str]:
    """Five instants along a span, UTC."""
    pattern = "%H:%M" if span.resolution is Resolution.MINUTE else "%d %b %H:%M"
    steps = range(5)
    width = span.end_ms - span.start_ms
    return [moment(span.start_ms + width * at // 4).strftime(pattern) for at in steps]
