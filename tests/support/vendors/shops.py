"""Our clients, pointed at a stand-in, with little patience."""

from dni_allocator.domain.shop import Shop, VoiceTarget
from dni_allocator.vendors.rest import Patience
from dni_allocator.vendors.telnyx.numbers import TelnyxNumbers
from dni_allocator.vendors.twilio.numbers import TwilioNumbers
from tests.support.vendors.standin import SID, TOKEN, VOICE, Vendor

IMPATIENT = Patience(answer_s=0.3, attempts=3, within_s=5.0, first_wait_s=0.001)


def shop_at(vendor: Vendor, name: str, *, connection_id: str | None = "connection-1") -> Shop:
    """The client of this name."""
    voice = VoiceTarget(f"{VOICE}/{name}/voice", f"{VOICE}/{name}/status")
    if name == "twilio":
        return TwilioNumbers(
            account_sid=SID,
            auth_token=TOKEN,
            voice=voice,
            api_url=vendor.url,
            pricing_url=vendor.url,
            patience=IMPATIENT,
        )
    return TelnyxNumbers(
        api_key=TOKEN,
        voice=voice,
        connection_id=connection_id,
        api_url=f"{vendor.url}/v2",
        patience=IMPATIENT,
    )
