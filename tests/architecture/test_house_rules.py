"""Rules no linter has: the size and names of modules, and what must not stand in any file."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST_MODULE = 500
# Names that say nothing about the role of what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}

# In two halves, so that this file does not break its own rules.
MACHINE_PATH = re.compile(
    r"(?<![\w.~}/-])/(?:" + "wo" + "rk|fa" + "rm|ro" + "ot|ho" + "me|Us" + r"ers)/[\w.-]"
)
REGISTRY = re.compile(
    "py" + r"pi\.org|pythonho" + r"sted\.org|npm" + r"js\.(?:org|com)|deb\.deb" + "ian"
)


def tracked_files() -> Iterator[Path]:
    """What a commit of everything here would hold, apart from binary files."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in path.read_bytes()[:8_000]:
            yield path


def matching_lines(pattern: re.Pattern[str]) -> list[str]:
    """Each place a pattern is found, as `file:line: text`."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_modules_stay_small() -> None:
    """A module one cannot read in one sitting is two modules."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("src", "tests")
        for path in (ROOT / folder).rglob("*.py")
    }

    assert lengths
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_files_and_folders_are_named_after_their_role() -> None:
    """`utils` and its kin tell nobody what is inside, so everything ends up there."""
    names = {part for path in tracked_files() for part in path.relative_to(ROOT).parts}
    stems = {name.split(".")[0].lower() for name in names}

    assert "embedded" in stems
    assert stems & EMPTY_NAMES == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    """The first thing a reader of a module sees is its role."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert docstring is not None
    assert len(docstring) > 20


def test_no_file_names_a_directory_of_one_machine() -> None:
    """What only exists where somebody wrote it breaks everywhere else."""
    assert matching_lines(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the choice of whoever installs: mirrors must keep working."""
    assert matching_lines(REGISTRY) == []


@pytest.mark.parametrize(
    "line",
    ["x = '/" + "home/me/x'", "cd /" + "work/main", "(/" + "root/.cache)", '"/' + 'Users/me"'],
)
def test_the_machine_path_rule_knows_one_when_it_sees_one(line: str) -> None:
    """The rule above is worth something: it finds such paths however they are quoted."""
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["docs/home/page", "https://example.com/home/", "~/homes/x"])
def test_the_machine_path_rule_lets_other_paths_be(line: str) -> None:
    """Relative paths and paths of addresses are no business of the rule."""
    assert not MACHINE_PATH.search(line)


def test_locks_pin_every_requirement_with_a_hash() -> None:
    """Set-up installs with --require-hashes, so one loose line would stop it for everybody."""
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-load.lock"):
        entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text())
        requirements = [entry for entry in entries if not entry.startswith("#")]

        assert len(requirements) > 20, lock
        unpinned = [r for r in requirements if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ ", r)]
        assert unpinned == [], lock
        assert [r for r in requirements if "--hash=sha256:" not in r] == [], lock


def test_locks_agree() -> None:
    """A test run proves something about production only with production's versions."""
    pins = {
        lock: dict(re.findall(r"^([\w.\[\],-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-dev.lock", "requirements-load.lock")
    }
    run = pins["requirements.lock"]

    for lock in ("requirements-dev.lock", "requirements-load.lock"):
        assert run.items() <= pins[lock].items(), lock
