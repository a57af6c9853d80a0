"""Prometheus' own checker of rules: finding it, and installing one."""

import shutil
import subprocess
from pathlib import Path

from tests.support import debian


def promtool_path() -> Path:
    """Where `promtool` is.

    Raises:
        AssertionError: Nowhere; says what to install.
    """
    found = shutil.which("promtool")
    if found is None:
        raise AssertionError("no promtool: apt-get install prometheus, or brew install prometheus")
    return Path(found)


def ensure_promtool() -> Path:
    """As `promtool_path`, but install Debian's package first where there is none. Idempotent."""
    try:
        return promtool_path()
    except AssertionError:
        if not debian.can_install():
            raise
    debian.install("prometheus")
    return promtool_path()


def run(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """What promtool makes of it; stdout and stderr in one."""
    return subprocess.run(
        [promtool_path(), *arguments],
        input=given.decode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
