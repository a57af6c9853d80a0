"""Older versions of the product, from the history of this repository."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

from dni_allocator.store.migrating import SCHEMA_VERSION

ROOT: Final = Path(__file__).parents[2]

OLDEST: Final = "65db7667ab6f7cee697101fe760cd60ea9b39adb"
"""The first version that says it runs beside others (ADR 32), with today's schema."""

_SCHEMA_OF_OLDEST: Final = "1"


def source_of(commit: str, room: Path) -> Path:
    """The source of a version, unpacked: put it on PYTHONPATH, with the dependencies of today.

    Raises:
        AssertionError: This clone does not have it; says what to do.
    """
    assert SCHEMA_VERSION == _SCHEMA_OF_OLDEST, (
        "the schema has moved on: name the first version with the present one, and the last with "
        "the one before, as OLDEST (tests/chaos/versions.py)"
    )
    archive = subprocess.run(
        ["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False
    )
    assert archive.returncode == 0, (
        f"this clone does not reach back to {commit[:12]}: git fetch --unshallow\n"
        f"{archive.stderr.decode()}"
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
        packed.extractall(room, filter="data")
    return room / "src"
