"""One call from the page to the downstream store: every part is real but the two ends."""

import json

from dni_allocator.store.connection import Connection
from dni_allocator.webhooks.transport import HttpTransport
from tests.support.delivery import LOOPBACK, QUICK, forwarder, running
from tests.support.receiver import receiving
from tests.support.rig import fictional
from tests.support.service import SHOP, serving
from tests.support.telephony import SETTINGS, Twilio, dial
from tests.support.waiting import wait_until_async

(ONE,) = fictional(1)


async def test_from_the_page_to_the_downstream_store(redis_url: str) -> None:
    """Assigned, dialled, put through, over after 73 s: four facts arrive, in order, signed."""
    async with (
        receiving() as downstream,
        serving(redis_url, more={**SETTINGS, "webhook_allow": "127.0.0.0/8"}) as service,
        Connection(redis_url) as connection,
        HttpTransport(allowed=LOOPBACK) as transport,
    ):
        made = await service.admin("POST", "/webhooks", {"url": downstream.url})
        assert made.status_code == 201, made.text
        async with running(forwarder(connection, transport, shards=4, pace=QUICK)):
            site = await service.pool(ONE)
            await site.view("ann", fields={"gclid": "EAIa"})
            twilio = Twilio(service.http, ONE)

            dialled, number = dial(await twilio.ring())
            await twilio.follow(
                str(dialled.get("action")), DialCallStatus="completed", DialCallDuration="73"
            )
            await twilio.status(CallStatus="completed", CallDuration="75")
            await wait_until_async(lambda: len(downstream.taken) >= 4, what="the events")

    events = [json.loads(each.body) for each in downstream.taken]
    assert number.text == SHOP
    assert [each["type"] for each in events] == [
        "number.assigned", "call.started", "call.completed", "call.qualified",
    ]  # fmt: skip
    over = events[2]["data"]
    assert (over["visitor_id"], over["duration_s"]) == ("ann", 73)
    assert over["fields"] == {"gclid": "EAIa"}
    assert len(set(downstream.ids())) == 4
