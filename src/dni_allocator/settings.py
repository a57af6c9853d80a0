"""All settings, from the environment: `DNI_…`. A leaf: anything may read it, it reads nothing.

A value may lie in a file, as Docker and Kubernetes mount secrets: `DNI_<NAME>_FILE` names one, and
`DNI_SECRETS_DIR` a directory of files named like the variables. The descriptions below are the
table in docs/operations.md.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from dni_allocator.domain.errors import ConfigurationError

PREFIX = "DNI_"

SHORTEST_KEY = 16
"""Stored as a plain hash, so it must be too long to guess; 32 random characters are better."""


class Settings(BaseSettings):
    """What an operator can set. Each has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="DNI_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8000, description="port to listen on; 0 takes a free one"
    )
    public_url: str | None = Field(
        default=None,
        description="where browsers and vendors reach the service, for the tag, its snippet and "
        "telephony; else taken from each request",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        description="the admin key, at least 16 characters; replaces the one of an earlier start. "
        "Else one is made at the first start and printed once",
    )
    data_dir: Path = Field(
        default=Path("dni-data"),
        description="where the embedded server keeps its data, below `valkey/`",
    )
    redis_url: str | None = Field(
        default=None,
        description="`redis://`, `rediss://`, `unix://`, "
        "`redis+sentinel://host:port[,host:port]/name[/db]`, "
        "`redis+cluster://host:port[,host:port]`, `rediss+cluster://…`; "
        "else an embedded Valkey is started",
    )
    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=1.0,
        description="longest wait for an answer of the store, and for a connection, seconds",
    )
    embedded_server: Path | None = Field(
        default=None,
        description="program to start as the embedded server; else the wheel's, `valkey-server`, "
        "`redis-server`",
    )
    shards: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=8, description="parts the data are cut into; fixed at the first start"
    )
    forwarded_allow_ips: str = Field(
        default="127.0.0.1,::1",
        description="addresses or subnets of proxies whose X-Forwarded-For and -Proto are "
        "believed, comma separated; `*`: all",
    )
    drain_s: Annotated[float, Field(ge=0, le=300)] = Field(
        default=3.0,
        description="after SIGTERM: how long to serve on while load balancers look away, seconds",
    )
    request_timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0,
        description="how long a client may take to send a request's head, and then its body, and "
        "to read each 16 KB of an answer, seconds; then it is cut",
    )
    docs: bool = Field(
        default=True,
        description="serve `/docs` and `/openapi.json`, which tell what the repository tells",
    )
    webhook_allow: str = Field(
        default="",
        description="subnets webhooks may reach though they are not public, comma separated",
    )
    forward_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None,
        description="port on which `dni-allocator forward` answers `/livez`, `/readyz`, `/metrics` "
        "and `/version`; else it serves no HTTP",
    )
    outbox_max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=2048,
        description="most memory the outboxes may take together, MB; then the oldest events are "
        "dropped",
    )
    twilio_shared_key: SecretStr | None = Field(
        default=None,
        description="key of the Twilio account's Webhook Rules, where they sign with one",
    )
    telnyx_public_key: str | None = Field(
        default=None,
        description="public key of the Telnyx account: checks that webhooks are Telnyx'",
    )
    unknown_calls: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        default="reject",
        description="calls on numbers of no pool: `reject`, a number in E.164 that rings, or a "
        "text that is said",
    )
    audit_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=400, description="how long the audit log is kept, days; 100,000 entries at most"
    )
    call_retention_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=90, description="how long [calls](calls.md) are kept, days"
    )
    caller_memory_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=30,
        description="how long a caller is remembered after their last call, days; 0: not at all",
    )
    caller_key: SecretStr | None = Field(
        default=None,
        description="key of the hashes by which callers are remembered, at least 16 characters; "
        "else one is made and kept in Redis. Another key forgets all callers",
    )
    twilio_account_sid: str | None = Field(
        default=None,
        pattern=r"^AC[0-9a-fA-F]{32}$",
        description="the account numbers are bought in",
    )
    twilio_auth_token: SecretStr | None = Field(
        default=None, description="its token: buys numbers, and checks that webhooks are Twilio's"
    )
    twilio_api_url: str = Field(
        default="https://api.twilio.com",
        description="Twilio's REST interface, of a region perhaps",
    )
    twilio_pricing_url: str = Field(
        default="https://pricing.twilio.com", description="Twilio's prices"
    )
    telnyx_api_key: SecretStr | None = Field(
        default=None,
        description="the key of the Telnyx account: buys numbers, and commands of "
        "[Call Control](telephony.md)",
    )
    telnyx_connection_id: str | None = Field(
        default=None,
        description="the TeXML application that answers calls; else one is made when needed",
    )
    telnyx_api_url: str = Field(
        default="https://api.telnyx.com/v2", description="Telnyx' REST interface"
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="a folder with a file for each secret, named as its variable; a variable "
        "wins over a file",
    )
    log_format: Literal["console", "json"] = Field(
        default="console",
        description="`console` for people, `json` for machines; lines go to standard error",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning`, `error`"
    )

    traces: bool = Field(
        default=False,
        description="send a span of each request by OTLP (extra `otel`); `OTEL_…` says where to",
    )

    @field_validator("admin_key", "caller_key")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None, told: ValidationInfo) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_KEY:
            name = f"DNI_{str(told.field_name).upper()}"
            message = f"{name} must have at least {SHORTEST_KEY} characters."
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
        """The environment first, then named files, then the directory of secrets."""
        del dotenv_settings, file_secret_settings
        sources = [init_settings, env_settings, _NamedFiles(settings_cls)]
        folder = os.environ.get("DNI_SECRETS_DIR")
        if folder:
            if not Path(folder).is_dir():
                message = "DNI_SECRETS_DIR: there is no such directory."
                raise ConfigurationError(message)
            sources.append(SecretsSettingsSource(settings_cls, secrets_dir=folder))
        return tuple(sources)


class _NamedFiles(PydanticBaseSettingsSource):
    """Values from files: `DNI_<NAME>_FILE` names one. A line end behind the value is no part of it.

    pydantic-settings has the directory of secrets, but not this, which Docker's images have.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of the file of one setting, or None. Raises `ConfigurationError`."""
        del field
        variable = variable_of(field_name)
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            message = f"{variable} and {variable}_FILE are both set: which one?"
            raise ConfigurationError(message)
        try:
            value = Path(path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{variable}_FILE: the file cannot be read ({type(error).__name__})."
            raise ConfigurationError(message) from error
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values that lie in named files."""
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Variables `DNI_…` that nothing reads, each with the one that was meant, perhaps."""
    variables = [variable_of(name) for name in Settings.model_fields]
    known = {*variables, *(f"{each}_FILE" for each in variables), *_OF_OTHERS}
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None)
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    }


_OF_OTHERS = (
    "DNI_PUBLISH",  # compose.yaml
    "DNI_SINK_DATABASE", "DNI_SINK_HOST", "DNI_SINK_PORT", "DNI_SINK_READ_TOKEN", "DNI_SINK_SECRET",
)  # fmt: skip
