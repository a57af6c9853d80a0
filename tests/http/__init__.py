"""The HTTP surface, over ASGI or over a real socket, on a real store."""
