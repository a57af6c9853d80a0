"""A real Firefox for the tests, driven over WebDriver BiDi: finding it, and installing one."""

import os
import shutil
from pathlib import Path

from tests.support import debian
from tests.support.browser import NoBrowserError, runs

# DNI_TEST_FIREFOX names another one.
_SETTING = "DNI_TEST_FIREFOX"
_PROGRAMS = ("firefox-esr", "firefox")


def firefox_path() -> Path:
    """The Firefox to drive: the named one, or one on the PATH.

    Raises:
        NoBrowserError: There is none that runs.
    """
    named = os.environ.get(_SETTING)
    for program in (named,) if named else _PROGRAMS:
        found = shutil.which(program)
        if found is not None and runs(found):
            return Path(found)
    raise NoBrowserError(
        f"no Firefox runs here ({named or 'none on the PATH'}); "
        f"`make parts` installs one on Debian, {_SETTING} names one"
    )


def ensure_firefox() -> Path:
    """As `firefox_path`, but install Debian's package first where there is none. Idempotent.

    Raises:
        NoBrowserError: Installing did not help, or cannot be done here.
    """
    try:
        return firefox_path()
    except NoBrowserError:
        if os.environ.get(_SETTING) or not debian.can_install():
            raise
    # Ubuntu's package of the name `firefox` is only a door to a snap.
    debian.install("firefox-esr")
    return firefox_path()
