"""A real PHP for the test of the WordPress snippet: finding it, and installing one."""

import shutil
import subprocess
from pathlib import Path

from tests.support import debian


def php_path() -> Path:
    """Where `php` is.

    Raises:
        AssertionError: Nowhere; says what to install.
    """
    found = shutil.which("php")
    if found is None:
        raise AssertionError("no PHP is installed: apt-get install php-cli, or brew install php")
    return Path(found)


def ensure_php() -> Path:
    """As `php_path`, but install Debian's package first where there is none. Idempotent."""
    try:
        return php_path()
    except AssertionError:
        if not debian.can_install():
            raise
    debian.install("php-cli")
    return php_path()


def rendered(source: str) -> str:
    """What a PHP program prints."""
    result = subprocess.run(
        [php_path(), "-d", "display_errors=stderr"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not result.stderr
    return result.stdout
