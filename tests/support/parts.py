"""Make sure of the parts the tests need beyond Python: browsers, PostgreSQL, PHP and others.

`python -m tests.support.parts` installs what is missing where it can; `make test` calls that. What
cannot be installed is named, and the tests that need it fail: they never skip.
"""

import sys

from tests.support import debian
from tests.support.browser import NoBrowserError, ensure_chromium
from tests.support.faketime import ensure_faketime
from tests.support.firefox import ensure_firefox
from tests.support.php import ensure_php
from tests.support.postgresql import find_programs
from tests.support.promtool import ensure_promtool


def ensure_postgresql() -> str:
    """Where PostgreSQL's programs are, after installing them if need be. Idempotent."""
    try:
        return str(find_programs())
    except AssertionError:
        if not debian.can_install():
            raise
    debian.install("postgresql")
    return str(find_programs())


def main() -> int:
    """Make sure of everything; the exit status says whether it is all there."""
    missing = 0
    for ensure in (
        ensure_chromium,
        ensure_firefox,
        ensure_postgresql,
        ensure_php,
        ensure_promtool,
        ensure_faketime,
    ):
        try:
            print(ensure(), file=sys.stderr)  # noqa: T201 - the answer of a command
        except (NoBrowserError, debian.InstallFailed, AssertionError) as error:
            print(error, file=sys.stderr)  # noqa: T201 - as above
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
