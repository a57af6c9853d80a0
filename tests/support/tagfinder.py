"""The tag's way of finding numbers, asked from here: its own source, run by node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from tests.support.tagbuild import TAG, find_node

_ASKED: Final = """
import { createInterface } from "node:readline";
const { learn, findText, findLink } = await import(process.argv[1]);
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...told] = JSON.parse(line);
  const found = { learn, findText, findLink }[what](...told) ?? [];
  process.stdout.write(JSON.stringify(found) + "\\n");
}
"""


@dataclass(frozen=True, slots=True)
class Finder:
    """Answers one question at a time; a question that throws ends it."""

    _asks: IO[str]
    _tells: IO[str]

    def learn(self, destination: str, written: list[str]) -> None:
        """Recognise these from now on."""
        self._ask("learn", destination, written)

    def text(self, source: str) -> list[dict[str, Any]]:
        """What is found in a text."""
        return self._ask("findText", source)

    def link(self, source: str) -> list[dict[str, Any]]:
        """What is found in an `href`."""
        return self._ask("findLink", source)

    def _ask(self, *question: object) -> list[dict[str, Any]]:
        self._asks.write(json.dumps(question) + "\n")
        self._asks.flush()
        told: list[dict[str, Any]] = json.loads(self._tells.readline())
        return told


@contextmanager
def finding() -> Iterator[Finder]:
    """Start node with the tag's module; it knows no number yet."""
    node, _ = find_node()
    module = (TAG / "src" / "find.js").as_uri()
    with subprocess.Popen(
        [str(node), "--input-type=module", "-e", _ASKED, module],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        yield Finder(process.stdin, process.stdout)
        process.stdin.close()
