"""The fenced blocks of the documents, and what stands above each.

A comment above a block says what becomes of it:

    <!-- not run: the reason -->        it is only read
    <!-- checked by tests/… -->         another test runs or reads it
    <!-- runs: … --> <!-- event: … -->  the same, of docs/backend.md and docs/webhooks.md
    <!-- answer: GET /keys keys.0 -->   JSON: part of the recorded answer of an operation
    <!-- body: POST /pools -->          JSON: what the operation takes

Without one, shell is run, page by page, and JSON that follows shell is its answer.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.service import ADMIN_KEY

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<said>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `said`: the comment above it."""

    page: Path
    language: str
    text: str
    said: str
    line: int

    @property
    def is_run(self) -> bool:
        """Whether it is shell that this page's test runs."""
        return self.language == "sh" and not self.said

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Every block of a page, in order."""
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, found["language"], found["text"], found["said"] or "", line)


def script(page_blocks: Sequence[Block], address: str) -> str:
    """The shell of a page as one program; each block's output goes to a file of its own."""
    lines = [
        "set -euo pipefail",
        # An answer that is a problem ends the page, as it would end the reader's patience.
        'curl() { command curl --fail-with-body "$@"; }',
    ]
    for at, block in enumerate(page_blocks):
        text = block.text.replace("http://127.0.0.1:8000", address)
        text = re.sub(r"(DNI_ADMIN_KEY)=sk_[\w-]+", rf"\1={ADMIN_KEY}", text)
        lines.append(f"echo {block} >&2\n{{\n{text}}} > out.{at}")
    return "\n".join(lines) + "\n"
