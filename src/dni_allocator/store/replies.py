"""Small readers for what Redis replies."""

from dni_allocator.domain.errors import ScriptContractError


def text(value: object) -> str:
    """A bulk string as text. Raises `ScriptContractError` for anything else."""
    if isinstance(value, bytes):
        return value.decode()
    message = f"expected a string, got {type(value).__name__}"
    raise ScriptContractError(message)


def texts(value: object) -> list[str]:
    """An array of bulk strings as texts (a map as the flat list of its pairs)."""
    if isinstance(value, dict):
        return [text(part) for pair in value.items() for part in pair]
    if isinstance(value, (list, tuple, set)):
        return [text(part) for part in value]
    message = f"expected an array, got {type(value).__name__}"
    raise ScriptContractError(message)


def mapping(value: object) -> dict[str, str]:
    """A HGETALL reply, flat (RESP2) or a map (RESP3), as a dictionary."""
    flat = texts(value)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def scored(value: object) -> list[tuple[str, float]]:
    """A WITHSCORES or ZSCAN reply, flat or as pairs, in its order."""
    pairs = value if isinstance(value, list) else []
    if pairs and not isinstance(pairs[0], (list, tuple)):
        pairs = [pairs[at : at + 2] for at in range(0, len(pairs), 2)]
    return [
        (text(name), score if isinstance(score, float) else float(text(score)))
        for name, score in pairs
    ]


def count(value: object) -> int:
    """An integer reply, or one that came as text."""
    if isinstance(value, (int, float)):
        return int(value)
    return int(float(text(value)))


def instant(value: object) -> int:
    """A TIME reply, as ms since 1970."""
    if isinstance(value, (list, tuple)) and len(value) == 2:  # noqa: PLR2004 - seconds, microseconds
        return count(value[0]) * 1000 + count(value[1]) // 1000
    message = f"expected an instant, got {type(value).__name__}"
    raise ScriptContractError(message)
