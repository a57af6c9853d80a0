"""The pages, one module a subject."""

from dni_allocator.dashboard.routes import (
    autoscale,
    buying,
    calls,
    door,
    keys,
    pool,
    pools,
    webhooks,
)

PAGES = (door, pools, pool, autoscale, calls, webhooks, buying, keys)
"""Every module with a `router`."""
