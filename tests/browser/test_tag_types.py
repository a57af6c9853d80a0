"""The tag's TypeScript types, by the real compiler with every check switched on."""

import re
import subprocess
from pathlib import Path
from typing import Final

from tests.support import tagbuild

TYPES: Final = Path(__file__).parent / "types"


def _compiled(name: str) -> list[str]:
    """What `tsc` complains about in one file, a line each."""
    node, npm = tagbuild.find_node()
    tagbuild.install(npm, tagbuild.TAG)
    options = ["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022"]
    modules = ["--module", "esnext", "--moduleResolution", "bundler", "--types", ""]
    result = subprocess.run(
        [str(node), str(tagbuild.TSC), *options, *modules, "--pretty", "false", name],
        cwd=TYPES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not result.stderr
    return result.stdout.splitlines()


def test_what_the_manual_shows_compiles() -> None:
    """Commands, callbacks and rows have the types that the tag gives them."""
    assert _compiled("right.ts") == []


def test_every_mistake_is_named() -> None:
    """A misspelt command, a wrong argument, a field that no row has: one error a line."""
    source = (TYPES / "wrong.ts").read_text(encoding="utf-8").splitlines()
    mistakes = [
        at for at, line in enumerate(source, start=1) if re.match(r"(window\.)?dni\b", line)
    ]

    # One mistake may be two errors.
    named = re.findall(r"^wrong\.ts\((\d+),", "\n".join(_compiled("wrong.ts")), re.MULTILINE)

    assert len(mistakes) == 12
    assert sorted({int(at) for at in named}) == mistakes
