"""`visitor.erased` at the sink: who was erased is blanked, also in what comes late or again."""

import json

import pytest
from sqlalchemy import Engine, select

from dni_allocator.sink.erasing import ERASED
from dni_allocator.sink.projections import CALLS
from dni_allocator.sink.tables import EVENTS
from tests.webhooks.test_sink_tables import engine, happening, postgresql_url, send

__all__ = ["engine", "postgresql_url"]

TOLD = {"url": "https://shop.example/?email=ann", "fields": {"gclid": "private"}}


def _assigned(visitor: str, *, at_s: int) -> dict[str, object]:
    return happening(
        "number.assigned", at_s=at_s, visitor_id=visitor, number="+16025550100", **TOLD
    )


def _everything(engine: Engine) -> str:
    with engine.connect() as connection:
        rows = [
            dict(row)
            for table in (EVENTS, CALLS, ERASED)
            for row in connection.execute(select(table)).mappings()
        ]
    return json.dumps(rows, default=str)


async def test_an_erased_visitor_leaves_every_table(engine: Engine) -> None:
    """Rows stay to be counted; nothing in them names or describes the visitor."""
    call = happening(
        "call.started", at_s=2, call_id="call_1", visitor_id="ann", caller="+16025550177", **TOLD
    )
    erased = happening("visitor.erased", at_s=9, visitor_id="ann")

    await send(engine, [_assigned("ann", at_s=1), call, _assigned("bob", at_s=3)], [erased])

    kept = _everything(engine)
    assert '"ann"' not in kept
    assert "+16025550177" not in kept
    assert kept.count('"bob"') == 2
    with engine.connect() as connection:
        rows = connection.execute(
            select(EVENTS.c.type, EVENTS.c.number).where(EVENTS.c.visitor_id.is_(None))
        ).all()
    assert sorted(rows) == [
        ("call.started", None), ("number.assigned", "+16025550100"), ("visitor.erased", None),
    ]  # fmt: skip


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
async def test_what_comes_late_or_again_is_blanked_too(engine: Engine, *, together: bool) -> None:
    """A retry of before arrives after the erasure; a visit of afterwards is a new one."""
    first, erased = _assigned("ann", at_s=1), happening("visitor.erased", at_s=9, visitor_id="ann")
    late, fresh = _assigned("ann", at_s=2), _assigned("ann", at_s=10)

    if together:
        await send(engine, [first, erased, late, first, fresh])
    else:
        await send(engine, [first], [erased], [late], [first], [fresh])

    with engine.connect() as connection:
        rows = connection.execute(
            select(EVENTS.c.id, EVENTS.c.visitor_id, EVENTS.c.url).order_by(EVENTS.c.occurred_at)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("evt_s0_1-0", None, None),
        ("evt_s0_2-0", None, None),
        ("evt_s0_9-0", None, None),
        ("evt_s0_10-0", "ann", TOLD["url"]),
    ]


async def test_an_erasure_that_comes_first_is_remembered(engine: Engine) -> None:
    """Of another shard, an event of before may be the later one to arrive."""
    erased = happening("visitor.erased", at_s=9, visitor_id="ann")

    await send(engine, [erased], [erased], [_assigned("ann", at_s=1)])

    assert "private" not in _everything(engine)
