"""A real Chromium for the tests: finding it, and installing one where there is none.

`tests.support.parts` makes sure of it before the tests run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Browser
from playwright.sync_api import sync_playwright

from tests.support import debian

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
    for program in (named,) if named else _PROGRAMS:
        found = shutil.which(program)
        if found is not None and runs(found):
            return Path(found)
    if not named and runs(own := _playwright_chromium()):
        return Path(own)
    raise NoBrowserError(
        f"no Chromium runs here ({named or 'neither on the PATH nor from Playwright'}); "
        f"`make parts` installs one, {_SETTING} names one"
    )


async def visible_user_agent(browser: Browser) -> str:
    """What this Chromium calls itself when a person sits in front of it.

    Without a window it says `HeadlessChrome`, and the service takes it for the robot it is.
    """
    page = await browser.new_page()
    said: str = await page.evaluate("navigator.userAgent")
    await page.close()
    return said.replace("HeadlessChrome", "Chrome")


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
    # Ubuntu's package of that name is only a door to a snap, which containers cannot open.
    if debian.can_install() and debian.distribution() == "debian":
        debian.install("chromium")
    else:
        is_root_on_linux = os.geteuid() == 0 and sys.platform == "linux"
        with_libraries = ["--with-deps"] if is_root_on_linux else []
        debian.run([sys.executable, "-m", "playwright", "install", *with_libraries, "chromium"])
    return chromium_path()


def runs(program: str) -> bool:
    """Whether a browser starts at all: one can be a snap's empty shell, or lack a library."""
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
