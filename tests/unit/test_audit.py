"""What `make check` makes of pip-audit's answer: only a known vulnerability fails."""

import importlib.util
import json
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit"


def _judged(answer: str) -> tuple[int, str]:
    loader = SourceFileLoader("audit", str(SCRIPT))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    found: tuple[int, str] = module.judged(answer)
    return found


SOUND = {"name": "sound", "version": "1", "vulns": []}
UNSEEN = {"name": "unseen", "version": "2", "skip_reason": "not found"}
FLAWED = {
    "name": "flawed",
    "version": "3",
    "vulns": [{"id": "CVE-1", "fix_versions": ["3.1"], "aliases": [], "description": "…"}],
}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "1 of 1 locked packages looked up, no known vulnerability."),
        ([SOUND, UNSEEN], 0, "1 of 2 locked packages looked up; the others are not audited"),
        ([UNSEEN], 0, "0 of 1 locked packages looked up; the others are not audited"),
        ([SOUND, UNSEEN, FLAWED], 1, "flawed 3: CVE-1, mended in 3.1"),
    ],
    ids=["sound", "partly", "none", "flawed"],
)
def test_a_known_vulnerability_fails_and_nothing_else(
    packages: list[dict[str, object]], status: int, said: str
) -> None:
    """What could not be looked up is said, never passed off as looked up."""
    found, sentence = _judged(json.dumps({"dependencies": packages, "fixes": []}))

    assert found == status
    assert said in sentence


def test_without_a_network_nothing_is_audited_and_it_says_so() -> None:
    """pip-audit writes nothing then."""
    assert _judged("") == (0, "pip-audit: nobody could be asked, so nothing is audited here.")
