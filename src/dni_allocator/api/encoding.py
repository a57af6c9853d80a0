"""Whether the far side takes gzip: the one thing here that is read of `Accept-Encoding`.

Starlette's own middleware looks for the four letters only, so it answers `gzip;q=0` with gzip, and
it would compress pages that hold secrets next to what a visitor can choose.
"""

from collections.abc import Sequence


def takes_gzip(headers: Sequence[str]) -> bool:
    """Read the values of `Accept-Encoding`; without any, nothing is compressed (RFC 9110, 12.5.3).

    Whoever likes `identity` better gets that. What cannot be read is not accepted.
    """
    quality: dict[str, float] = {}
    for choice in ",".join(headers).lower().split(","):
        coding, _, weight = choice.partition(";")
        quality[coding.strip()] = _weight(weight.replace(" ", ""))
    gzip = quality.get("gzip", quality.get("x-gzip", quality.get("*", 0.0)))
    return gzip > 0 and gzip >= quality.get("identity", 0.0)


def _weight(parameter: str) -> float:
    if not parameter:
        return 1.0
    name, _, value = parameter.partition("=")
    try:
        # NaN is within no bounds: refused, as is all else that is odd.
        return float(value) if name == "q" and 0 <= float(value) <= 1 else 0.0
    except ValueError:
        return 0.0
