"""Bundles the real React and Vue pages of the tag's tests from npm packages."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from tests.support import tagbuild

APPS: Final = Path(__file__).parents[1] / "browser" / "apps"


@cache
def bundled(name: str, before: str = "") -> bytes:
    """The script of one page, after a text that a site would paste into it.

    Installs the packages by the lock file on the first call.
    """
    node, npm = tagbuild.find_node()
    tagbuild.install(npm, tagbuild.TAG)
    tagbuild.install(npm, APPS)
    built = subprocess.run(
        [
            str(node),
            str(tagbuild.ESBUILD),
            "--bundle",
            "--format=iife",
            "--log-level=error",
            '--define:process.env.NODE_ENV="development"',
            "--define:__VUE_OPTIONS_API__=true",
            "--define:__VUE_PROD_DEVTOOLS__=false",
            "--define:__VUE_PROD_HYDRATION_MISMATCH_DETAILS__=true",
        ],
        cwd=APPS,
        input=f"{before}\n{(APPS / name).with_suffix('.js').read_text(encoding='utf-8')}".encode(),
        check=True,
        stdout=subprocess.PIPE,
    )
    return built.stdout
