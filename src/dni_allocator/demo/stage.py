"""Set the scene: the demo pool, its numbers, the webhook endpoint. Idempotent.

Everything is compared with what is there, so the demonstration can be started again on the data of
the last time, under another port, or after somebody played with the pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dni_allocator.demo.client import Client
from dni_allocator.demo.company import Company

ENDPOINT: Final = "The demo's downstream store"
"""Description by which the demonstration knows its own webhook endpoint again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the page has to know of the scene. `key` is the publishable key of the pool."""

    company: Company
    pool_id: str
    key: str


async def set_stage(
    client: Client,
    company: Company,
    *,
    origins: Sequence[str],
    webhook_url: str,
    webhook_secret: str,
) -> Stage:
    """Make or mend the pool and the endpoint.

    Raises:
        httpx.HTTPError: The service refuses or does not answer.
    """
    settings: dict[str, object] = {
        "name": company.name,
        "campaign": company.campaign,
        "destinations": [company.destination],
        "overflow_numbers": [company.overflow_number],
        "idle_limit_s": company.idle_limit_s,
        "closed_browser_delay_s": company.closed_browser_delay_s,
        "hold_after_call_s": company.hold_after_call_s,
        "allowed_origins": list(origins),
        "paused": False,
        # A headless browser names itself, and isbot knows it; whoever looks at the demonstration
        # with one, for a picture or a test, is to see a number all the same.
        "serve_robots": True,
    }
    pool = await client.pool_named(company.name)
    if pool is None:
        pool = await client.create_pool({"country": "US", **settings})
    else:
        pool = await client.edit_pool(pool.id, settings)
    await client.attach(pool.id, company.numbers)
    await _subscribe(client, url=webhook_url, secret=webhook_secret)
    return Stage(company=company, pool_id=pool.id, key=pool.key)


async def _subscribe(client: Client, *, url: str, secret: str) -> None:
    present = False
    for endpoint in await client.endpoints():
        if endpoint.description != ENDPOINT:
            continue
        if present or (endpoint.url, endpoint.secret) != (url, secret):
            # The sink may listen on another port than the last time, and a URL is not edited.
            await client.delete_endpoint(endpoint.id)
            continue
        present = True
        if endpoint.state == "disabled":
            await client.enable_endpoint(endpoint.id)
    if not present:
        await client.create_endpoint(url=url, secret=secret, description=ENDPOINT)
