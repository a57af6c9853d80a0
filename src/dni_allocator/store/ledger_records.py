"""The texts of orders and releases: JSON, read by the fields they had when they were written."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson

from dni_allocator.domain.number import NumberType
from dni_allocator.domain.purchase import Line, LineState, Purchase, PurchaseState
from dni_allocator.domain.release import Release, ReleaseState
from dni_allocator.domain.shop import Wanted
from dni_allocator.store.ledger import Codec


def dumped(record: Any) -> str:  # noqa: ANN401 -- any dataclass
    """A dataclass as JSON text; decimals as texts."""
    return orjson.dumps(asdict(record), default=str).decode()


def _purchase(text: str) -> Purchase:
    told = orjson.loads(text)
    told["state"] = PurchaseState(told["state"])
    told["wanted"] = read_wanted(told["wanted"])
    told["lines"] = tuple(
        Line(**{**line, "state": LineState(line["state"])}) for line in told["lines"]
    )
    return Purchase(**told)


def read_wanted(told: dict[str, Any]) -> Wanted:
    """`Wanted` from its JSON."""
    ceiling = told["ceiling"]
    return Wanted(
        **{
            **told,
            "type": NumberType(told["type"]),
            "ceiling": None if ceiling is None else Decimal(ceiling),
        }
    )


def _release(text: str) -> Release:
    told = orjson.loads(text)
    return Release(**{**told, "state": ReleaseState(told["state"])})


PURCHASES = Codec("purchases", dumped, _purchase)
RELEASES = Codec("releases", dumped, _release)
