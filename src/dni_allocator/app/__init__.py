"""Composition root: settings in, ASGI application out. Everything is wired in this room.

`stores` makes what talks to Redis, `wiring` the use cases on top of it, `http` the ASGI side;
`process` is the whole with its background work.
"""

from dni_allocator.app.process import App, Options

__all__ = ["App", "Options"]
