"""A real Chromium for the tests: finding it, and installing one where there is none.

`python -m tests.support.browser` makes sure of it and prints its path; `make test` calls that.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# DNI_TEST_CHROMIUM names another one.
_SETTING = "DNI_TEST_CHROMIUM"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class NoBrowserError(Exception):
    """No Chromium that starts; the tests that need one fail with this."""


def chromium_path() -> Path:
    """The Chromium to drive: the named one, one on the PATH, or Playwright's own.

    Raises:
        NoBrowserError: There is none that runs.
    """
    named = os.environ.get(_SETTING)
    for program in (named,) if named else (*_PROGRAMS, _playwright_chromium()):
        found = shutil.which(program)
        if found is not None and _runs(found):
            return Path(found)
    raise NoBrowserError(
        f"no Chromium runs here ({named or 'neither on the PATH nor from Playwright'}); "
        f"`make browser` installs one, {_SETTING} names one"
    )


def ensure_chromium() -> Path:
    """As `chromium_path`, but install one first where there is none. Idempotent.

    Debian's own package when this is Debian and we are root, else Playwright's download.

    Raises:
        NoBrowserError: Installing did not help.
    """
    try:
        return chromium_path()
    except NoBrowserError:
        if os.environ.get(_SETTING):
            raise
    is_root = os.geteuid() == 0
    # Ubuntu's package of that name is only a door to a snap, which containers cannot open.
    if is_root and _distribution() == "debian":
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
        _run(["apt-get", "update", "--quiet"], environment=environment)
        _run(install, environment=environment)
    else:
        with_libraries = ["--with-deps"] if is_root and sys.platform == "linux" else []
        _run([sys.executable, "-m", "playwright", "install", *with_libraries, "chromium"])
    return chromium_path()


def _run(command: list[str], *, environment: dict[str, str] | None = None) -> None:
    # What an installer says goes to stderr: stdout is for the path.
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if result.returncode != 0:
        raise NoBrowserError(f"`{' '.join(command)}` failed with code {result.returncode}")


def _runs(program: str) -> bool:
    # A program that is there can still be a snap's empty shell, or lack a library.
    try:
        result = subprocess.run(
            [program, "--version"], capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def _playwright_chromium() -> str:
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""


if __name__ == "__main__":
    try:
        print(ensure_chromium())  # noqa: T201 -- the answer of a command
    except NoBrowserError as error:
        sys.exit(str(error))
