"""An assignment as JSON: what pages get is what backends get."""

import orjson
import pytest

from dni_allocator.api.assignments import assignment_json, written
from dni_allocator.domain.lease import Answer, Assignment, Leased, Original, Overflow, Reason
from dni_allocator.domain.number import formats
from dni_allocator.domain.pool import Format, Pool, PoolSettings
from dni_allocator.metrics import Metrics

SHOP = "+16023133897"
NUMBER = formats("+12125550100", national="(212) 555-0100", international="")
LONDON = formats("+442079460000", national="020 7946 0000", international="+44 20 7946 0000")

ANSWERS: dict[str, tuple[Answer, ...]] = {
    "leased": (Leased(SHOP, NUMBER, Reason.NEW, "lse_a_1", 300_999),),
    "overflow": (Overflow(SHOP, LONDON, Reason.EXHAUSTED),),
    "original": (Original(SHOP, Reason.NO_MATCH),),
    "nothing": (),
    "several": (
        Leased(SHOP, LONDON, Reason.RENEWED, "lse_a_2", 0),
        Original("+16024961500", Reason.PAUSED),
    ),
}


@pytest.mark.parametrize("shown", list(Format))
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_page_is_told_what_a_backend_is(kind: str, shown: Format) -> None:
    """The short way to write an answer says the same, in the same order, and counts the same."""
    settings = PoolSettings(name="shop", country="US", destinations=(SHOP,), format=shown)
    pool = Pool(id="pool_a", key="pk_a", revision=1, created_at="", settings=settings)
    answers = ANSWERS[kind]
    beat = 60 if any(isinstance(each, Leased) for each in answers) else None
    assignment = Assignment("vis-1_~.", "page", beat, answers, (pool,) * len(answers))
    at_length, at_once = Metrics(version="0"), Metrics(version="0")

    told = written(assignment, at_once)

    assert told == orjson.dumps(assignment_json(assignment, at_length))
    assert at_once.assigned == at_length.assigned


@pytest.mark.parametrize(
    ("shown", "display"),
    [
        (Format.MIRROR, "(212) 555-0100"),
        (Format.NATIONAL, "(212) 555-0100"),
        (Format.E164, "+12125550100"),
        (Format.INTERNATIONAL, "+1 212-555-0100"),
        (Format.RFC3966, "tel:+1-212-555-0100"),
    ],
)
def test_a_number_is_displayed_in_the_format_of_its_pool(shown: Format, display: str) -> None:
    """`mirror` is the national one: the tag goes by the punctuation of the page."""
    settings = PoolSettings(name="shop", country="US", destinations=(SHOP,), format=shown)
    pool = Pool(id="pool_a", key="pk_a", revision=1, created_at="", settings=settings)
    leased = Leased(SHOP, NUMBER, Reason.NEW, "lse_a_1", 1000)

    told = assignment_json(Assignment("v", "p", 60, (leased,), (pool,)), Metrics(version="0"))

    assert told["numbers"][0]["display"] == display
