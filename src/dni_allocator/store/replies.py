"""Small readers for what Redis replies."""

from collections.abc import Iterator

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


def count(value: object) -> int:
    """An integer reply, or one that came as text."""
    if isinstance(value, (int, float)):
        return int(value)
    return int(float(text(value)))


def rows(values: list[str], *, width: int) -> Iterator[list[str]]:
    """Cut a flat list into rows."""
    for start in range(0, len(values), width):
        yield values[start : start + width]
