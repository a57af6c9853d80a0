"""The pages, one module a subject."""

from dni_allocator.dashboard.routes import buying, calls, door, keys, pool, pools, webhooks

PAGES = (door, pools, pool, calls, webhooks, buying, keys)
"""Every module with a `router`."""
