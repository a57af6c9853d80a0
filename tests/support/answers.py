"""What the service answers to every operation, recorded for the description.

python -m tests.support.answers      writes src/dni_allocator/api/example_answers.json

One story on an empty store: what is made first is what later operations are about. Secrets are
replaced, long lists cut; all else is as it came.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dni_allocator.api.examples import BODIES, LATER
from dni_allocator.store.embedded import EmbeddedServer
from tests.support.receiver import receiving
from tests.support.service import ORIGIN, Service, serving

FILE: Final = Path(__file__).parents[2] / "src" / "dni_allocator" / "api" / "example_answers.json"
NUMBER: Final = "+16025550101"
_RECEIVER: Final = "https://crm.example"
_SECRETS: Final = re.compile(r"\b(sk_|whsec_)[A-Za-z0-9+/_=-]{20,}")
_LONGEST: Final = 2
_NOBODY: Final = object()


@dataclass(slots=True)
class Teller:
    """Asks, and notes the first answer to each operation. `given`: what paths and bodies name."""

    service: Service
    receiver: str
    given: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def __call__(
        self, method: str, path: str, *, query: str = "", body: object = _NOBODY, **more: object
    ) -> Any:  # noqa: ANN401 - JSON
        """One operation, with the example of its body and `more` in it; the answer's JSON."""
        if body is _NOBODY:
            example = (BODIES | LATER).get((method.lower(), path))
            body = _filled(example, self.given) if example is not None else None
        if isinstance(body, Mapping):
            body = {**body, **more}
        url = path.format(**self.given) + query.format(**self.given)
        if path in {"/assign", "/heartbeat", "/close"}:
            assert isinstance(body, Mapping)
            answer = await self.service.tag(path, body, origin=ORIGIN)
        else:
            answer = await self.service.admin(method, url, body)
        assert answer.is_success, f"{method} {url}: {answer.text}"
        if "json" not in answer.headers.get("content-type", ""):
            return None
        kept = _presentable(answer.text.replace(self.receiver, _RECEIVER))
        note = {"status": answer.status_code, "body": kept}
        self.answers.setdefault(f"{method} {path}", note)
        return answer.json()


def _filled(body: Any, given: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(body, list):
        return [_filled(each, given) for each in body]
    named = {"key": "key", "pool": "pool_id"}
    filled = {name: given[named[name]] if name in named else value for name, value in body.items()}
    return filled | ({"pools": [given["pool_id"]]} if "pools" in body else {})


def _presentable(text: str) -> Any:  # noqa: ANN401 - JSON
    def shortened(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, list):
            return [shortened(each) for each in value[:_LONGEST]]
        if isinstance(value, dict):
            return {name: shortened(each) for name, each in value.items()}
        return value

    def masked(secret: "re.Match[str]") -> str:
        return secret[1] + ("0a1b2c3d4e5f" * 8)[: len(secret[0]) - len(secret[1])]

    return shortened(json.loads(_SECRETS.sub(masked, text)))


async def story(tell: Teller) -> None:
    """Every operation that answers JSON, at least once."""
    for path in ("/livez", "/readyz", "/version"):
        await tell("GET", path)
    await tell(
        "GET",
        "/sizing",
        query="?arrivals_per_hour=100&time_on_site_s=300&closed_browser_delay_s=30",
    )
    await _pools(tell)
    await _visits(tell)
    await _calls(tell)
    await _events(tell)
    await _sources(tell)
    await _buying(tell)
    await _keys(tell)
    await _endings(tell)


async def _pools(tell: Teller) -> None:
    made = await tell("POST", "/pools")
    tell.given |= {"pool_id": made["id"], "key": made["key"], "number": NUMBER}
    await tell("POST", "/pools/{pool_id}/numbers")
    site = await tell("POST", "/sites")
    tell.given["site_id"] = site["id"]
    await tell("PATCH", "/sites/{site_id}")
    for path in ("/sites", "/sites/{site_id}", "/pools", "/pools/{pool_id}"):
        await tell("GET", path)
    await tell("PATCH", "/pools/{pool_id}")
    await tell("POST", "/sites/{site_id}/rotate-key")
    await tell("POST", "/pools/{pool_id}/rotate-key")
    await tell("GET", "/pools/{pool_id}/integration-code")


async def _visits(tell: Teller) -> None:
    endpoint = await tell("POST", "/webhooks", url=f"{tell.receiver}/hooks/calls", event_types=[])
    tell.given["endpoint_id"] = endpoint["id"]
    seen = await tell("POST", "/assign")
    tell.given["visitor_id"] = seen["visitor_id"]
    await tell("POST", "/assign", visitor_id="another-visitor", destinations=["(602) 555-0142",
               "(602) 555-0199"])  # fmt: skip
    await tell("POST", "/heartbeat")
    await tell("POST", "/assign/bulk")
    await tell("POST", "/assign/rendered")
    amp = "?key={key}&destination=%2B16025550142&client=amp-0123456789abcdef"
    await tell("GET", "/tag/amp.json", query=amp)
    await tell.service.app.historian().round()
    for path in ("suggestions", "explain", "history", "sizing"):
        await tell("GET", f"/pools/{{pool_id}}/{path}")
    await tell("GET", "/leases", query="?pool_id={pool_id}")
    await tell("GET", "/pools/{pool_id}/numbers")
    await tell("GET", "/attribution/{number}")
    await tell("POST", "/attribution/batch")


async def _calls(tell: Teller) -> None:
    call = await tell("POST", "/calls")
    tell.given["call_id"] = call["id"]
    await tell("GET", "/calls")
    await tell("GET", "/calls/{call_id}")
    await tell("PATCH", "/calls/{call_id}")
    about = "/pools/{pool_id}/numbers/{number}"
    await tell("PUT", f"{about}/quarantine")
    await tell("DELETE", f"{about}/quarantine")
    await tell("POST", f"{about}/spam")


async def _events(tell: Teller) -> None:
    await tell("PATCH", "/webhooks/{endpoint_id}")
    for what in ("test", "example", "rotate", "replay"):
        await tell("POST", f"/webhooks/{{endpoint_id}}/{what}")
    for path in ("/webhooks", "/webhooks/{endpoint_id}", "/webhooks/{endpoint_id}/deliveries",
                 "/webhooks/{endpoint_id}/dead-letters", "/events", "/events/schemas"):  # fmt: skip
        await tell("GET", path)


async def _sources(tell: Teller) -> None:
    source = await tell("POST", "/traffic-sources")
    tell.given["source_id"] = source["id"]
    await tell("PATCH", "/traffic-sources/{source_id}")
    one = "/traffic-sources/{source_id}/conversions"
    file = await tell("POST", one)
    tell.given["conversion_id"] = file["id"]
    await tell("PATCH", f"{one}/{{conversion_id}}")
    await tell("POST", f"{one}/{{conversion_id}}/renew-token")
    for path in ("/traffic-sources", "/traffic-sources/{source_id}", one,
                 f"{one}/{{conversion_id}}"):  # fmt: skip
        await tell("GET", path)


async def _buying(tell: Teller) -> None:
    buyer = tell.service.app.services.buyer
    await tell("POST", "/purchases")
    order = await tell("POST", "/purchases", dry_run=False, quantity=2)
    tell.given["purchase_id"] = order["id"]
    while order["state"] != "done":
        assert await buyer.once()
        order = await tell("GET", "/purchases/{purchase_id}")
        assert order["state"] in {"pending", "buying", "waiting", "done"}, order
    tell.answers["GET /purchases/{purchase_id}"]["body"] = _presentable(json.dumps(order))
    await tell("GET", "/purchases")
    another = await tell("POST", "/purchases", dry_run=False)
    tell.given["purchase_id"] = another["id"]
    await tell("POST", "/purchases/{purchase_id}/cancel")
    leased, tell.given["number"] = tell.given["number"], order["lines"][0]["number"]
    release = await tell("POST", "/pools/{pool_id}/numbers/{number}/release")
    tell.given |= {"number": leased, "release_id": release["id"], "vendor": "sandbox"}
    for path in ("/releases", "/releases/{release_id}", "/vendors", "/vendors/{vendor}/reconcile"):
        await tell("GET", path)
    await tell("POST", "/releases/{release_id}/cancel")
    await _scaling(tell, "approve")
    first = tell.given["pool_id"]
    tell.given["pool_id"] = (await tell("POST", "/pools", overflow_numbers=[]))["id"]
    await _scaling(tell, "reject")
    tell.given["pool_id"] = first


async def _scaling(tell: Teller, answer: str) -> None:
    await tell("PATCH", "/pools/{pool_id}", body={"min_size": 8})
    await tell("PUT", "/pools/{pool_id}/autoscale", step_cap=3)
    decision = await tell.service.app.services.scaling.look(tell.given["pool_id"])
    assert decision is not None
    tell.given["decision_id"] = decision.id
    for path in ("/pools/{pool_id}/autoscale", "/autoscale", "/autoscale/{decision_id}"):
        await tell("GET", path)
    await tell("POST", f"/autoscale/{{decision_id}}/{answer}")


async def _keys(tell: Teller) -> None:
    key = await tell("POST", "/keys")
    tell.given["key_id"] = key["id"]
    await tell("PATCH", "/keys/{key_id}")
    await tell("POST", "/keys/{key_id}/rotate")
    for path in ("/keys", "/keys/{key_id}", "/audit"):
        await tell("GET", path)


async def _endings(tell: Teller) -> None:
    await tell("DELETE", "/visitors/{visitor_id}")
    await tell("DELETE", "/pools/{pool_id}/numbers/{number}")


async def recorded(redis_url: str) -> dict[str, dict[str, Any]]:
    """The answers, by method and path, of a service on an empty store."""
    async with receiving() as listening:
        allowed = "127.0.0.0/8"
        async with serving(redis_url, webhook_allow=allowed) as service:
            tell = Teller(service, listening.url.rstrip("/"))
            await story(tell)
            return tell.answers


def main() -> None:
    """Write them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer.start(Path(folder), durable=False) as store,
    ):
        answers = asyncio.run(recorded(store.url))
    FILE.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
