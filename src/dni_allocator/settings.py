"""All settings, from the environment: `DNI_…`. A leaf: anything may read it, it reads nothing."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

SHORTEST_ADMIN_KEY = 16
"""Stored as a plain hash, so it must be too long to guess; 32 random characters are better."""


class Settings(BaseSettings):
    """What an operator can set. Each has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="DNI_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8000, description="Port to listen on; 0 takes a free one."
    )
    public_url: str | None = Field(
        default=None,
        description="Where browsers reach the service, for the integration code; else guessed.",
    )
    admin_key: SecretStr | None = Field(
        default=None, description="The admin key; else made at the first start and printed once."
    )
    data_dir: Path = Field(
        default=Path("dni-data"), description="Where the embedded server keeps its data."
    )
    redis_url: str | None = Field(
        default=None,
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; "
        "else an embedded Valkey is started.",
    )
    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=1.0, description="Longest wait for an answer of the store, seconds."
    )
    embedded_server: Path | None = Field(
        default=None, description="Program to start as the embedded server."
    )
    shards: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=8, description="Parts the data are cut into; fixed at the first start."
    )
    forwarded_allow_ips: str = Field(
        default="127.0.0.1,::1",
        description="Proxies whose X-Forwarded-For and -Proto are believed, comma separated.",
    )
    drain_s: Annotated[float, Field(ge=0, le=300)] = Field(
        default=3.0,
        description="After SIGTERM: how long to serve on while load balancers look away, seconds.",
    )
    webhook_allow: str = Field(
        default="",
        description="Subnets webhooks may reach though they are not public, comma separated.",
    )
    outbox_max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=2048,
        description="Most memory the outboxes may take together, MB; then the oldest are dropped.",
    )
    audit_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=400, description="How long the audit log is kept, days; 100,000 entries at most."
    )
    call_retention_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=90, description="How long calls are kept, days."
    )
    caller_memory_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=30,
        description="How long a caller is remembered after their last call, days; 0: not at all.",
    )
    caller_key: SecretStr | None = Field(
        default=None,
        description="Key of the hashes by which callers are remembered; else made and kept in the "
        "store.",
    )
    twilio_account_sid: str | None = Field(
        default=None,
        pattern=r"^AC[0-9a-fA-F]{32}$",
        description="The account numbers are bought in.",
    )
    twilio_auth_token: SecretStr | None = Field(
        default=None, description="Its token: buys numbers, and checks that webhooks are Twilio's."
    )
    twilio_api_url: str = Field(
        default="https://api.twilio.com",
        description="Twilio's REST interface, of a region perhaps.",
    )
    twilio_pricing_url: str = Field(
        default="https://pricing.twilio.com", description="Twilio's prices."
    )
    telnyx_api_key: SecretStr | None = Field(
        default=None, description="The key of the Telnyx account numbers are bought in."
    )
    telnyx_connection_id: str | None = Field(
        default=None,
        description="The TeXML application that answers calls; else one is made when needed.",
    )
    telnyx_api_url: str = Field(
        default="https://api.telnyx.com/v2", description="Telnyx' REST interface."
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="A folder with a file for each secret, named as its variable; files lose "
        "against variables.",
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Lines for people or for machines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("caller_key")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_ADMIN_KEY:
            message = f"DNI_CALLER_KEY must have at least {SHORTEST_ADMIN_KEY} characters."
            raise ValueError(message)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the folder of secrets that the environment names, as orchestrators mount it."""
        del dotenv_settings, file_secret_settings
        folder = os.environ.get("DNI_SECRETS_DIR")
        if not folder:
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    @field_validator("admin_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_ADMIN_KEY:
            message = f"DNI_ADMIN_KEY must have at least {SHORTEST_ADMIN_KEY} characters."
            raise ValueError(message)
        return value
