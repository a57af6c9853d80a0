"""The pages, one module a subject."""

from dni_allocator.dashboard.routes import (
    autoscale,
    buying,
    calls,
    door,
    keys,
    pool,
    pools,
    reference,
    webhooks,
)

PAGES = (door, pools, pool, autoscale, calls, webhooks, buying, keys, reference)
"""Every module with a `router`."""
