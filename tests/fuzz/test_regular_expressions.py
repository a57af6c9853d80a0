"""No regular expression of the service can be made to backtrack for ever by what people send.

Judged by its structure, not by a clock: exponential time needs a repetition without limit inside
another one, or a choice inside one whose branches can begin alike. Polynomial time is bounded by
the lengths that are allowed.
"""

import importlib
import pkgutil
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

import dni_allocator
from dni_allocator.domain import robots

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    # The parser of the standard library: nothing public tells how an expression is built.
    # By name: not every version of mypy knows of these modules.
    sre: Any = importlib.import_module("re._constants")
    sre_parser: Any = importlib.import_module("re._parser")

REPEATS: Final = {sre.MAX_REPEAT, sre.MIN_REPEAT}
UNLIMITED_FROM: Final = 64
"""A repetition that may run so often counts as one without limit."""


def _children(op: object, value: Any) -> Iterator[Any]:  # noqa: ANN401 -- the parser's own trees
    if op in REPEATS or op is sre.POSSESSIVE_REPEAT:
        yield value[2]
    elif op is sre.SUBPATTERN:
        yield value[3]
    elif op is sre.BRANCH:
        yield from value[1]
    elif op in {sre.ASSERT, sre.ASSERT_NOT}:
        yield value[1]
    elif op is sre.GROUPREF_EXISTS:
        yield from (each for each in value[1:] if each is not None)
    elif op is sre.ATOMIC_GROUP:
        yield value


def _ends_by_itself(tree: Iterable[Any]) -> bool:
    """Whether a body of a repetition has a literal that its own repetitions cannot swallow."""
    literals, swallowed = set(), set()
    for op, value in tree:
        if op is sre.LITERAL:
            literals.add(value)
        elif op in REPEATS:
            swallowed |= _can_match(value[2])
        else:
            swallowed |= _can_match([(op, value)])
    return bool(literals - swallowed)


def _can_match(tree: Iterable[Any]) -> set[int]:
    found: set[int] = set()
    for op, value in tree:
        if op is sre.LITERAL:
            found.add(value)
        elif op is sre.NOT_LITERAL:
            found |= set(range(128)) - {value}
        elif op is sre.ANY:
            found |= set(range(128))
        elif op is sre.IN:
            text = _class_text(value)
            found |= {n for n in range(128) if text(chr(n))}
        else:
            for child in _children(op, value):
                found |= _can_match(child)
    return found


def _class_text(value: list[Any]) -> Any:  # noqa: ANN401 -- a function of a character
    def matches(character: str) -> bool:
        code, negated, hit = ord(character), False, False
        for op, what in value:
            if op is sre.NEGATE:
                negated = True
            elif op is sre.LITERAL:
                hit = hit or code == what
            elif op is sre.RANGE:
                hit = hit or what[0] <= code <= what[1]
            elif op is sre.CATEGORY:
                name = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(what).split("_")[-1]]
                inside = re.match(name, character) is not None
                hit = hit or inside is not ("NOT" in str(what))
        return hit is not negated

    return matches


def exponential(pattern: re.Pattern[Any]) -> bool:
    """Whether its structure allows exponentially many ways to match a text."""
    text = (
        pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    )
    return _nests(sre_parser.parse(text, pattern.flags & ~re.DEBUG), inside=False)


def _nests(tree: Iterable[Any], *, inside: bool) -> bool:
    for op, value in tree:
        unlimited = op in REPEATS and value[1] >= UNLIMITED_FROM
        if op in REPEATS and inside and value[1] >= UNLIMITED_FROM:
            return True
        if op is sre.BRANCH and inside:
            firsts = [_can_match(list(branch)[:1]) for branch in value[1]]
            total = set().union(*firsts)
            if len(total) < sum(map(len, firsts)) or firsts.count(set()) > 1:
                return True
        for child in _children(op, value):
            deeper = inside or (unlimited and not _ends_by_itself(child))
            if _nests(child, inside=deeper):
                return True
    return False


def _expressions() -> dict[str, re.Pattern[Any]]:
    """Every compiled expression of every module, and those that robots are known by."""
    found: dict[str, re.Pattern[Any]] = {}
    for info in pkgutil.walk_packages(dni_allocator.__path__, "dni_allocator."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                found[f"{info.name}.{name}"] = value
            elif isinstance(value, (list, tuple)):
                flat = [
                    part
                    for each in value
                    for part in (each if isinstance(each, tuple) else (each,))
                ]
                for at, each in enumerate(flat):
                    if isinstance(each, re.Pattern):
                        found[f"{info.name}.{name}.{at}"] = each
    return found


EXPRESSIONS: Final = _expressions()


def test_the_walk_finds_the_expressions() -> None:
    """The rule below is worth something only if there is something to look at."""
    assert len(EXPRESSIONS) > 35
    assert any(name.startswith(robots.__name__) for name in EXPRESSIONS)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_expression_is_exponential(name: str) -> None:
    """A visitor's browser and address bar are read by these: they must end."""
    assert not exponential(EXPRESSIONS[name]), EXPRESSIONS[name].pattern


@pytest.mark.parametrize(
    "text",
    [r"(a+)+$", r"(a*)*b", r"(?:\w+\s?)+$", r"(a|a)*b", r"(?:a|ab|\w)*$", r"((x{0,99})y?)+$"],
)
def test_the_rule_knows_a_catastrophe(text: str) -> None:
    """The published examples, which never end on a text of some dozens of characters."""
    assert exponential(re.compile(text))


@pytest.mark.parametrize(
    "text", [r"(?:[^,]*,)+$", r"a+b+", r"(?:a|b)+", r"(?:\.[a-z]+)*", r"(a{1,3})+"]
)
def test_the_rule_lets_others_be(text: str) -> None:
    """A repetition that ends with what it cannot contain has one way to match."""
    assert not exponential(re.compile(text))
