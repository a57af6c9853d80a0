"""docs/security.md: every guard has a test, and every test that is named exists."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
PAGE: Final = (TESTS.parent / "docs" / "security.md").read_text("utf-8")
NAMED: Final = re.compile(r"`([a-z]+/test_\w+)(?:::(test_\w+))?`")


def _rows() -> list[list[str]]:
    """The cells of every row of the tables of guards."""
    rows, guards = [], False
    for line in PAGE.splitlines():
        if line.startswith("| what | guard | test |"):
            guards = True
        elif not line.startswith("|"):
            guards = False
        elif guards and not line.startswith("|---"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def test_every_guard_has_a_test() -> None:
    """A row without one is a promise nobody would see broken."""
    rows = _rows()

    assert len(rows) > 40
    assert [row[0] for row in rows if len(row) != 3 or not NAMED.search(row[2])] == []


def test_make_check_looks_for_known_flaws() -> None:
    """In our code by bandit, in the packages of every lock by pip-audit."""
    makefile = (TESTS.parent / "Makefile").read_text("utf-8")
    recipe = makefile.partition("\ncheck-security:")[2].partition("\n\n")[0]
    everything = re.search(r"^check:(.*?)##", makefile, re.MULTILINE)

    assert "bandit" in recipe
    assert recipe.rstrip().endswith("scripts/audit")
    assert 'glob("requirements*.lock")' in (TESTS.parent / "scripts" / "audit").read_text("utf-8")
    assert everything is not None
    assert "check-security" in everything[1]


def test_every_test_that_is_named_exists() -> None:
    """A renamed test takes its row along."""
    named = NAMED.findall(PAGE)

    missing = []
    for file, test in named:
        path = TESTS / f"{file}.py"
        text = path.read_text("utf-8") if path.is_file() else ""
        if not text or (test and not re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE)):
            missing.append(f"{file}::{test}")

    assert len(named) > 80
    assert missing == []
