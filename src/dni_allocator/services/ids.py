"""New identifiers: prefixed, unguessable, safe in a URL and in a Redis key."""

import hashlib
import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no letter that reads as another or as a digit."""


def _token(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_pool_id() -> str:
    """`pool_` and 80 random bits: unique without asking anyone."""
    return f"pool_{_token(16)}"


def new_site_id() -> str:
    """`site_` and 80 random bits."""
    return f"site_{_token(16)}"


def new_site_key() -> str:
    """`pk_` and 120 random bits: public, but not to be found by trying."""
    return f"pk_{_token(24)}"


def new_secret_key() -> str:
    """`sk_` and 256 random bits, so that a plain hash protects it at rest (ASVS 6.5.2)."""
    return f"sk_{secrets.token_urlsafe(32)}"


def new_secret_key_id() -> str:
    """`key_` and 80 random bits."""
    return f"key_{_token(16)}"


def new_visitor_id() -> str:
    """128 random bits, as the tag makes them, for a caller that sent none."""
    return secrets.token_urlsafe(16)


def new_page_id() -> str:
    """128 random bits, for a page that sent none."""
    return secrets.token_urlsafe(16)


def new_endpoint_id() -> str:
    """`whe_` and 80 random bits."""
    return f"whe_{_token(16)}"


def new_call_id(pool_id: str) -> str:
    """`call_`, the pool, and 80 random bits: a call is found without a directory."""
    return f"call_{pool_id.removeprefix('pool_')}_{_token(16)}"


def call_id_for(pool_id: str, *, provider: str, provider_call_id: str) -> str:
    """The same form, and the same id for the same call of a provider."""
    digest = hashlib.sha256(f"{provider}\0{provider_call_id}".encode()).digest()
    told = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:16])
    return f"call_{pool_id.removeprefix('pool_')}_{told}"


def record_token_for(key: str) -> str:
    """The same form, and the same token for the same key of a caller."""
    digest = hashlib.sha256(key.encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:16])


def new_record_token() -> str:
    """80 random bits, for the id of an order or of a release of a pool."""
    return _token(16)


def new_traffic_source_id() -> str:
    """`src_` and 80 random bits."""
    return f"src_{_token(16)}"


def new_conversion_id() -> str:
    """`cnv_` and 80 random bits."""
    return f"cnv_{_token(16)}"


def new_file_token() -> str:
    """`cft_` and 256 random bits: who has it may fetch a file of conversions."""
    return f"cft_{secrets.token_urlsafe(32)}"
