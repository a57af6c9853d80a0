"""Scripted vendors call the real program over HTTP: valid, wrong and replayed requests."""

import asyncio
import time
from pathlib import Path
from typing import Final

import httpx

from tests.support.program import answers, started
from tests.support.rig import fictional
from tests.support.service import ADMIN_KEY, ORIGIN, POOL, SHOP
from tests.support.telephony import (
    AUTH_TOKEN,
    PUBLIC_URL,
    TELNYX_PUBLIC_KEY,
    Telnyx,
    Twilio,
    dial,
    rung,
)
from tests.support.waiting import wait_until_async

ONE, TWO = fictional(2)
ADMIN: Final = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def test_vendors_call_the_program(tmp_path: Path, port: int) -> None:
    """Behind a name it does not know itself; twenty deliveries at once are one call."""
    settings = {
        "DNI_PUBLIC_URL": PUBLIC_URL,
        "DNI_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "DNI_TELNYX_PUBLIC_KEY": TELNYX_PUBLIC_KEY,
    }
    with started(tmp_path, port, **settings):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await wait_until_async(lambda: answers(http, "/readyz", 200), what="ready")
            pool = (await http.post("/pools", json=POOL, headers=ADMIN)).json()
            await http.post(
                f"/pools/{pool['id']}/numbers", json={"numbers": [ONE, TWO]}, headers=ADMIN
            )
            shown = await http.post(
                "/assign", json={"key": pool["key"]}, headers={"Origin": ORIGIN}
            )
            number = shown.json()["numbers"][0]["number"]
            twilio = Twilio(http, number)
            telnyx = Telnyx(http, number, now_s=int(time.time()))
            texml = "/telephony/telnyx/texml"

            at_once = await asyncio.gather(*(twilio.ring() for _ in range(20)))
            forged = await twilio.post(
                "/telephony/twilio/voice", twilio.call(), signature="0/KCTR6DLpKmkAf8muzZqo1nDgQ="
            )
            dialled, _ = dial(at_once[0])
            await twilio.follow(
                str(dialled.get("action")), DialCallStatus="completed", DialCallDuration="5"
            )
            replayed = await twilio.ring()
            first, second = await telnyx.form(texml), await telnyx.form(texml)
            telnyx.now_s -= 400
            stale = await telnyx.form(texml)
            calls = (await http.get("/calls", headers=ADMIN)).json()["calls"]

    assert {each.content for each in at_once} == {replayed.content}
    assert [rung(each) for each in (replayed, first, second)] == [SHOP, SHOP, SHOP]
    assert [each.status_code for each in (forged, stale)] == [403, 403]
    assert sorted((each["provider"], each["status"], each["duration_s"]) for each in calls) == [
        ("telnyx", "ringing", None), ("twilio", "completed", 5),
    ]  # fmt: skip
