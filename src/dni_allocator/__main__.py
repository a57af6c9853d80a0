"""`python -m dni_allocator`: the same program as the `dni-allocator` command."""

from dni_allocator.cli import main

if __name__ == "__main__":
    main()
