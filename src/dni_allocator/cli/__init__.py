"""The command line: `dni-allocator …`. Each command imports what it needs when it runs."""

from dni_allocator.cli.commands import main

__all__ = ["main"]
