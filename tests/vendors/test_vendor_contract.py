"""The judge of requests can say no; else all the tests that trust it would prove nothing."""

import pytest

from tests.support.vendors import telnyx, twilio
from tests.support.vendors.standin import SID

INCOMING = f"/2010-04-01/Accounts/{SID}/IncomingPhoneNumbers.json"


@pytest.mark.parametrize(
    ("path", "query", "complaint"),
    [
        (INCOMING, [("PageSize", "0")], "PageSize"),
        (INCOMING, [("Friendly", "x")], "not known"),
        (INCOMING.replace(SID, "AC1"), [], "AccountSid"),
        ("/2010-04-01/Accounts.json", [], "no such operation"),
    ],
)
def test_a_query_twilio_does_not_know_is_a_problem(
    path: str, query: list[tuple[str, str]], complaint: str
) -> None:
    """A range, a name, a pattern, a path."""
    problems = twilio.CONTRACT.of_request("GET", path, query=query)

    assert any(complaint in problem for problem in problems)


def test_a_form_twilio_does_not_know_is_a_problem() -> None:
    """A misspelt field would be ignored by Twilio, and nobody would notice."""
    form = {"PhoneNumber": "+16025550100", "VoiceURL": "https://dni.example", "VoiceMethod": "PUT"}

    problems = twilio.CONTRACT.of_request("POST", INCOMING, query=[], body=form, form=True)

    assert [problem.partition(":")[0] for problem in problems] == ["form VoiceURL", "VoiceMethod"]


def test_a_body_telnyx_does_not_know_is_a_problem() -> None:
    """As for Twilio."""
    body = {"phone_numbers": [], "customer_ref": "x"}

    problems = telnyx.CONTRACT.of_request("POST", "/number_orders", query=[], body=body)

    assert len(problems) == 2
