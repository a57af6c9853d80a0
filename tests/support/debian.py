"""Install what the tests need where packages can be had: on Debian and Ubuntu, as root."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping


class InstallFailed(Exception):
    """An installer ended with an error; the tests that need the part fail with this."""


def can_install() -> bool:
    """Whether `install` may be tried here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def distribution() -> str:
    """The system's own name: `debian`, `ubuntu`, …; empty where it does not tell."""
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""


def install(package: str) -> None:
    """Install one package. Raises `InstallFailed`."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "--quiet"], environment=environment)
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    run(command, environment=environment)


def run(command: list[str], *, environment: Mapping[str, str] | None = None) -> None:
    """Run an installer. What it says goes to stderr, stdout is for answers."""
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if result.returncode != 0:
        raise InstallFailed(f"`{' '.join(command)}` failed with code {result.returncode}")
