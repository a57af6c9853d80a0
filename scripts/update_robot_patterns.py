#!/usr/bin/env python3
"""Take the robot patterns of another release of isbot: `npm pack isbot`, then this on its file.

Patterns are taken as they are; what Python reads differently is rewritten in `domain/robots.py`.
`tests/unit/test_robots.py` fails on a pattern that needs a rewriting it does not have.
"""

import json
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "dni_allocator" / "domain" / "robots.json"


def main(package: str) -> None:
    """Read the package's patterns and version, and write the file."""
    with tarfile.open(package) as archive:
        described = json.loads(_read(archive, "package.json"))
        source = _read(archive, "index.mjs")
    _, found, rest = source.partition("var patterns_default = ")
    if not found or described["license"] != "Unlicense":
        sys.exit(f"{package} is no isbot as we know it")
    patterns, _ = json.JSONDecoder().raw_decode(rest)
    content = {
        "source": "https://github.com/omrilotan/isbot",
        "version": described["version"],
        "licence": "Unlicense (public domain), by the authors of isbot",
        "taken": datetime.now(UTC).date().isoformat(),
        "patterns": patterns,
    }
    TARGET.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _read(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(f"package/{name}")
    if file is None:
        sys.exit(f"the package has no {name}")
    return file.read().decode()


if __name__ == "__main__":
    main(*sys.argv[1:])
