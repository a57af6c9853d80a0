"""The requests that every subject gets: the same bytes for peers and for us.

A request is a template; `{v}` is a visitor, `{p}` one of the visitor's four latest pages, `{n}` a
number of seven digits, `{k}` a pool. The Lua of wrk and the own client fill it alike.
"""

import json
from dataclasses import asdict, dataclass, field

ORIGIN = "https://shop.example"
ADMIN_KEY = "sk_bench_0123456789abcdef0123456789abcdef"
DESTINATION = "+18005550100"
KNOWN_VISITORS = 1_000
PAGES = 4

HEADERS = {"Content-Type": "application/json", "Origin": ORIGIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One kind of request. Every `new_every`th one is of a visitor nobody has seen; 0: none.

    `run` makes the new visitors of two windows differ: eight characters. `spread` is over how many
    pools the requests go.
    """

    path: str
    method: str = "POST"
    body: str = ""
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    known: int = KNOWN_VISITORS
    new_every: int = 0
    spread: int = 1
    run: str = "00000000"

    def to_json(self) -> str:
        """For the client in another process."""
        return json.dumps(asdict(self))


def site_key(name: str) -> str:
    """The publishable key of a bench pool: as long as a real one."""
    return f"pk_{name:0>24}"


def spread_name(index: int) -> str:
    """The name of one of many pools: seven digits, as `{k}` is."""
    return f"m{index:07d}"


def assign(pool: str, *, new_every: int = 0, run: str = "00000000") -> Traffic:
    """`/assign` as the tag sends it: about 200 bytes."""
    body = _assign_body(site_key(pool))
    return Traffic(path="/assign", body=body, new_every=new_every, run=run)


def assign_spread(pools: int) -> Traffic:
    """`/assign`, each to the next of so many pools."""
    key = site_key(spread_name(0)).replace(spread_name(0), "m{k}")
    return Traffic(path="/assign", body=_assign_body(key), spread=pools)


def heartbeat(pool: str) -> Traffic:
    """`/heartbeat` of visitors who have a lease."""
    body = f'{{"key":"{site_key(pool)}","visitor_id":"{{v}}","page_id":"{{p}}"}}'
    return Traffic(path="/heartbeat", body=body)


def attribution(prefix: str) -> Traffic:
    """`/attribution` of numbers that are leased: `prefix` and seven digits."""
    return Traffic(
        path=f"/attribution/{prefix}{{n}}",
        method="GET",
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
    )


def visitor(index: int, *, run: str | None = None) -> str:
    """A visitor id of 22 characters, as 128 random bits have: known, or new in a `run`."""
    return f"known{index:017d}" if run is None else f"{run}{index:014d}"


def page(index: int) -> str:
    """A page id of 22 characters."""
    return f"page{index % PAGES:018d}"


def _assign_body(key: str) -> str:
    return (
        f'{{"key":"{key}","visitor_id":"{{v}}","page_id":"{{p}}",'
        f'"url":"{ORIGIN}/spring?utm_source=mail","fields":{{"utm_source":"mail",'
        '"utm_medium":"newsletter"}}'
    )
