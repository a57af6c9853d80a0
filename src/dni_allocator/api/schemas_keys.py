"""The shapes of keys: secret ones, and the rotation of publishable ones."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, model_validator

from dni_allocator.api.schemas import AdminBody
from dni_allocator.domain.moment import moment
from dni_allocator.domain.old_key import OldKey
from dni_allocator.services.access import Scope

LONGEST_OVERLAP_S = 90 * 86_400

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
PoolIds = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=64)]],
    Field(min_length=1, max_length=200),
]


class KeyCreate(AdminBody):
    """`POST /keys`."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)]
    pools: PoolIds | None = Field(
        default=None, description="The only pools it opens; left out: all, and everything else."
    )


class KeyEdit(AdminBody):
    """`PATCH /keys/{id}`: what is left out stays as it is."""

    name: Name | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)] | None = None
    pools: PoolIds | None = Field(default=None, description="null lifts the limit.")

    @model_validator(mode="after")
    def _only_pools_may_be_null(self) -> "KeyEdit":
        for field in ("name", "scopes"):
            if field in self.model_fields_set and getattr(self, field) is None:
                message = f"{field} cannot be null"
                raise ValueError(message)
        return self


class RotateKeyBody(AdminBody):
    """How long the key before works on."""

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=LONGEST_OVERLAP_S)] = Field(
        default=86_400, description="Seconds; 0: it stops now."
    )


class OldKeyOut(BaseModel):
    """A publishable key that was replaced and still works."""

    key: str
    until: datetime


class OldSecretOut(BaseModel):
    """A secret that was replaced and still works."""

    prefix: str
    until: datetime


class KeyOut(BaseModel):
    """A secret key, without the secret."""

    id: str
    name: str
    prefix: str = Field(description="How the key begins; empty for one an operator set.")
    scopes: list[Scope]
    pools: list[str] | None
    created_at: datetime
    old: list[OldSecretOut]


class KeyMadeOut(KeyOut):
    """A secret key with its secret, which is shown this once."""

    secret: str


class KeysOut(BaseModel):
    """All secret keys, oldest first."""

    keys: list[KeyOut]


def old_keys_out(old_keys: tuple[OldKey, ...]) -> list[OldKeyOut]:
    """Replaced publishable keys that still work, as the API shows them."""
    now = datetime.now(tz=UTC)
    shown = [OldKeyOut(key=old.key, until=moment(old.until_ms)) for old in old_keys]
    return [old for old in shown if old.until > now]
