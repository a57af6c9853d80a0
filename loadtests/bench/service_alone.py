"""Our service without sweeper, historian, buyer and forwarder: `python -m …`, set up as `serve`.

For counting instructions: what runs by the clock would be counted too, the more the slower.
"""

from dni_allocator.app import App, Options
from dni_allocator.cli.running import load_settings, serve_until_told, server, spare_the_collector
from dni_allocator.telemetry import configure_logging


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings()
    configure_logging(style=settings.log_format, level=settings.log_level)
    app = App(settings, Options(forwarder=False, sweeper=False, buyer=False))
    spare_the_collector()
    serve_until_told(server(settings, app))


if __name__ == "__main__":
    main()
