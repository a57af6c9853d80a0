"""Telnyx Call Control: each event is noted, and answered by a command at Telnyx' API."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
import redis
import stamina

from tests.http.test_bad_input import assert_problem
from tests.support import invariants
from tests.support.receiver import Delivery, Receiver, receiving
from tests.support.rig import fictional
from tests.support.service import SHOP, Service, serving
from tests.support.telephony import CALLER, SETTINGS, Telnyx, recorded

ONE, TWO = fictional(2)
SECOND = "+16025550142"
TARGET = "v3:the-leg-of-a-destination"


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    """Commands are tried again at once."""
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@dataclass(slots=True)
class Api:
    """Telnyx' API as the service reaches it, and Telnyx as it posts events."""

    service: Service
    receiver: Receiver
    telnyx: Telnyx
    read: int = field(default=0)

    def commanded(self) -> list[tuple[str, dict[str, Any]]]:
        """The commands since this was last asked: what is to be done, and how."""
        new = self.receiver.taken[self.read :]
        self.read = len(self.receiver.taken)
        return [command_of(each) for each in new]

    async def event(self, kind: str, **more: Any) -> list[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - JSON
        """An event, and what is commanded then."""
        answer = await self.telnyx.event(kind, **more)
        assert answer.status_code == 204, answer.text
        return self.commanded()

    async def picked_up(self) -> str:
        """The call comes in and is answered; what the leg remembers then."""
        ((action, body),) = await self.event("call.initiated", direction="incoming", state="parked")
        assert action == "answer"
        return str(body["client_state"])

    async def calls(self) -> list[dict[str, Any]]:
        """The calls on record."""
        return await recorded(self.service)


def command_of(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    """The action of a command, and its body."""
    return unquote(delivery.path).rpartition("/")[2], json.loads(delivery.body)


@pytest.fixture
async def api(redis_url: str) -> AsyncIterator[Api]:
    """The service, with a key for an API that is played here."""
    async with receiving() as receiver:
        receiver.answer = lambda _: 200
        receiver.body = b'{"data": {"result": "ok"}}'
        receiver.headers = {"content-type": "application/json"}
        settings = {
            **SETTINGS,
            "telnyx_api_key": "KEY0123",
            "telnyx_api_url": receiver.url.removesuffix("/hook") + "/v2",
        }
        async with serving(redis_url, more=settings) as service:
            yield Api(service, receiver, Telnyx(service.http, ONE, now_s=int(time.time())))
    with redis.Redis.from_url(redis_url) as client:
        invariants.check(client)


async def test_a_whole_call(api: Api) -> None:
    """Picked up, transferred to where the visitor saw the number, talked, recorded, over."""
    site = await api.service.pool(
        ONE, destinations=[SHOP, SECOND], routing={"record": "dual", "ring_timeout_s": 30}
    )
    await site.view("ann", destinations=[SECOND])

    state = await api.picked_up()
    ((action, body),) = await api.event("call.answered", client_state=state)
    target = body["target_leg_client_state"]
    await api.event(
        "call.answered", client_state=target, call_control_id=TARGET, at="2027-01-15T08:00:10Z"
    )
    await api.event(
        "call.hangup", client_state=target, call_control_id=TARGET, at="2027-01-15T08:00:52Z",
        hangup_cause="normal_clearing", hangup_source="callee",
    )  # fmt: skip
    await api.event(
        "call.hangup", client_state=state, at="2027-01-15T08:00:52Z", hangup_cause="normal_clearing"
    )
    await api.event(
        "call.recording.saved",
        recording_urls={"mp3": "https://telnyx.example/r.mp3"},
        channels="dual",
    )

    assert (action, body["to"], body["from"]) == ("transfer", SECOND, CALLER)
    assert (body["timeout_secs"], body["record"]) == (30, "record-from-answer")
    assert body["record_channels"] == "dual"
    (call,) = await api.calls()
    assert (call["visitor_id"], call["route_to"]) == ("ann", SECOND)
    assert (call["provider_call_id"], call["status"]) == (api.telnyx.session, "completed")
    assert call["duration_s"] == 42
    assert call["recording_url"] == "https://telnyx.example/r.mp3"
    assert api.receiver.taken[0].path.startswith("/v2/calls/v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ld")
    assert api.receiver.taken[0].headers["authorization"] == "Bearer KEY0123"


@pytest.mark.parametrize(
    ("cause", "status"),
    [("timeout", "no_answer"), ("user_busy", "busy"), ("not_found", "failed")],
)
async def test_the_next_destination_is_rung_when_nobody_answers(
    api: Api, cause: str, status: str
) -> None:
    """The caller's leg lives on, and is transferred again, until there is none left."""
    await api.service.pool(ONE, routing={"fallback_destinations": [SECOND]})
    state = await api.picked_up()
    ((_, first),) = await api.event("call.answered", client_state=state)

    ((action, second),) = await api.event(
        "call.hangup", call_control_id="v3:b", hangup_cause=cause,
        client_state=first["target_leg_client_state"],
    )  # fmt: skip
    still = (await api.calls())[0]["status"]
    ((end, _),) = await api.event(
        "call.hangup", call_control_id="v3:c", hangup_cause=cause,
        client_state=second["target_leg_client_state"],
    )  # fmt: skip

    assert (first["to"], action, second["to"], end) == (SHOP, "transfer", SECOND, "hangup")
    assert still == "ringing"
    assert (await api.calls())[0]["status"] == status


async def test_a_caller_who_leaves_ends_it(api: Api) -> None:
    """Nobody else is rung for them."""
    await api.service.pool(ONE, routing={"fallback_destinations": [SECOND]})
    state = await api.picked_up()
    ((_, first),) = await api.event("call.answered", client_state=state)

    ended = await api.event(
        "call.hangup", call_control_id=TARGET, hangup_cause="originator_cancel",
        client_state=first["target_leg_client_state"],
    )  # fmt: skip
    await api.event("call.hangup", client_state=state, hangup_cause="normal_clearing")

    assert ended == []
    assert (await api.calls())[0]["status"] == "no_answer"


async def test_an_announcement_and_a_message_are_said(api: Api) -> None:
    """The one before ringing, the other instead of it."""
    say = {"action": "message", "message": "Closed."}
    site = await api.service.pool(ONE, TWO, routing={"announcement": "Recorded.", "unknown": say})
    shown = await site.number("ann")
    other = ONE if shown == TWO else TWO

    api.telnyx.number = shown
    state = await api.picked_up()
    ((first, said),) = await api.event("call.answered", client_state=state)
    ((then, _),) = await api.event("call.speak.ended", client_state=said["client_state"])
    api.telnyx.number, api.telnyx.session, api.telnyx.call_id = other, "session-2", "v3:2"
    state = await api.picked_up()
    ((second, told),) = await api.event("call.answered", client_state=state)
    ((end, _),) = await api.event("call.speak.ended", client_state=told["client_state"])

    assert (first, said["payload"], then) == ("speak", "Recorded.", "transfer")
    assert (second, told["payload"], end) == ("speak", "Closed.", "hangup")


async def test_a_number_of_no_pool_is_rejected(api: Api) -> None:
    """Before anybody pays for an answer."""
    ((action, body),) = await api.event("call.initiated", direction="incoming")

    assert (action, body["cause"]) == ("reject", "CALL_REJECTED")
    assert await api.calls() == []


async def test_a_call_that_is_turned_away_is_over(api: Api) -> None:
    """It is on record, and does not ring for ever."""
    await api.service.pool(ONE, routing={"unknown": {"action": "reject"}})

    ((action, body),) = await api.event("call.initiated", direction="incoming")
    await api.event("call.hangup", client_state=body["client_state"], hangup_cause="call_rejected")

    assert action == "reject"
    assert [each["status"] for each in await api.calls()] == ["no_answer"]


async def test_an_event_twice_commands_once(api: Api) -> None:
    """Replayed within the window, or sent again by Telnyx: one call, one command."""
    await api.service.pool(ONE)

    first = await api.event("call.initiated", direction="incoming")
    second = await api.event("call.initiated", direction="incoming")

    assert (len(first), second) == (1, [])
    assert len(await api.calls()) == 1


async def test_a_command_that_fails_is_sent_again_by_the_same_id(api: Api) -> None:
    """At once, and when Telnyx sends the event again; it ignores an id it has seen."""
    await api.service.pool(ONE)
    api.receiver.answer = lambda _: 500

    failed = await api.telnyx.event("call.initiated", direction="incoming")
    api.receiver.answer = lambda _: 200
    ((action, _),) = await api.event("call.initiated", direction="incoming")

    assert_problem(failed, 503, "vendor-unavailable")
    assert int(failed.headers["retry-after"]) >= 1
    assert action == "answer"
    assert len(api.receiver.came) == 4
    assert len({each.body for each in api.receiver.came}) == 1


async def test_a_command_that_is_refused_is_done_with(api: Api) -> None:
    """The caller has hung up: 422, and nothing would be gained by repeating it."""
    await api.service.pool(ONE)
    api.receiver.answer = lambda _: 422

    answer = await api.telnyx.event("call.initiated", direction="incoming")

    assert answer.status_code == 204
    assert len(api.receiver.came) == 1


@pytest.mark.parametrize(
    "payload",
    [{"client_state": base64.b64encode(b'{"x": 1}').decode()}, {"client_state": "no base64"},
     {"client_state": 7}, {"direction": "outgoing"}],
)  # fmt: skip
async def test_legs_that_are_not_ours_are_left_alone(api: Api, payload: dict[str, object]) -> None:
    """Other programs use the same application: their state is not ours to read."""
    await api.service.pool(ONE)

    assert await api.event("call.answered", **payload) == []
    assert await api.event("call.hangup", hangup_cause="timeout", **payload) == []
    assert await api.calls() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": {"payload": {}}}', b"not json"])
async def test_what_is_no_event_is_refused(api: Api, body: bytes) -> None:
    """Genuine, and nonsense."""
    answer = await api.telnyx.post(
        "/telephony/telnyx/call-control", body, content_type="application/json"
    )

    assert_problem(answer, 422, "invalid-request")


async def test_an_event_somebody_else_signed_is_refused(api: Api) -> None:
    """Nothing is commanded, nothing written."""
    await api.service.pool(ONE)
    before = api.service.contents()
    api.telnyx.now_s -= 301

    answer = await api.telnyx.event("call.initiated", direction="incoming")

    assert_problem(answer, 403, "bad-signature")
    assert (api.receiver.came, api.service.contents()) == ([], before)


async def test_call_control_needs_a_key(redis_url: str) -> None:
    """Without one nothing could be commanded; TeXML works without."""
    async with serving(redis_url, more=SETTINGS) as service:
        answer = await Telnyx(service.http, ONE, now_s=int(time.time())).event("call.initiated")

    assert_problem(answer, 404, "telephony-off")
