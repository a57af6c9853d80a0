"""The bench for tests of this folder, and the report: how many cases of each kind were tried."""

from collections import Counter

import pytest

from tests.support.fuzzing import bench, count

__all__ = ["bench", "count"]

_PREFIX = "cases of "


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A table in Markdown, as docs/security.md has it."""
    cases: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for each in reports:
            if getattr(each, "when", "") == "teardown":
                for name, number in each.user_properties:
                    if name.startswith(_PREFIX):
                        cases[name.removeprefix(_PREFIX)] += int(number)
    if not cases:
        return
    terminalreporter.section("cases fuzzed")
    rows = [*sorted(cases.items()), ("in sum", cases.total())]
    terminalreporter.write_line("| what | cases |\n|---|---:|")
    for kind, number in rows:
        terminalreporter.write_line(f"| {kind} | {number:,} |")
