"""The shops of numbers this process can use, by its settings."""

from dni_allocator.domain.shop import Shop, VoiceTarget
from dni_allocator.services.shops import Shops
from dni_allocator.settings import Settings
from dni_allocator.store.sandbox_books import SandboxLedger
from dni_allocator.store.scripts import Execute
from dni_allocator.vendors.rest import Patience
from dni_allocator.vendors.sandbox.numbers import SandboxNumbers
from dni_allocator.vendors.telnyx.numbers import TelnyxNumbers
from dni_allocator.vendors.twilio.numbers import TwilioNumbers


def build_shops(settings: Settings, execute: Execute, *, patience: Patience | None = None) -> Shops:
    """Each vendor that has what it needs; the sandbox always. Nothing is dialled."""
    shops: dict[str, Shop] = {"sandbox": SandboxNumbers(SandboxLedger(execute))}
    missing: dict[str, str] = {}
    public = (settings.public_url or "").rstrip("/")
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token
    if not (sid and token):
        missing["twilio"] = "DNI_TWILIO_ACCOUNT_SID and DNI_TWILIO_AUTH_TOKEN are not both set."
    elif not public:
        missing["twilio"] = "DNI_PUBLIC_URL is not set: calls to its numbers would not arrive."
    else:
        shops["twilio"] = TwilioNumbers(
            account_sid=sid,
            auth_token=token.get_secret_value(),
            voice=_target(public, "twilio/voice", "twilio/status"),
            api_url=settings.twilio_api_url,
            pricing_url=settings.twilio_pricing_url,
            patience=patience,
        )
    key = settings.telnyx_api_key
    if not key:
        missing["telnyx"] = "DNI_TELNYX_API_KEY is not set."
    elif not (public or settings.telnyx_connection_id):
        missing["telnyx"] = "Neither DNI_PUBLIC_URL nor DNI_TELNYX_CONNECTION_ID is set."
    else:
        shops["telnyx"] = TelnyxNumbers(
            api_key=key.get_secret_value(),
            voice=_target(public, "telnyx/texml", "telnyx/status"),
            connection_id=settings.telnyx_connection_id,
            api_url=settings.telnyx_api_url,
            patience=patience,
        )
    return Shops(shops, missing=missing)


def _target(public: str, voice: str, status: str) -> VoiceTarget:
    base = f"{public}/telephony"
    return VoiceTarget(voice_url=f"{base}/{voice}", status_url=f"{base}/{status}")
