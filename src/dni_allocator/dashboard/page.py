"""How pages are drawn: templates, what they may say, and the headers that go with them."""

from datetime import UTC, datetime
from typing import Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dni_allocator import __version__
from dni_allocator.dashboard.charts import area, sparkline
from dni_allocator.domain.errors import InvalidNumber
from dni_allocator.domain.moment import moment
from dni_allocator.domain.number import parse_number

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}

DONE: Final = {
    "created": "Made.",
    "saved": "Saved. In force with the next call of every tag.",
    "deleted": "Deleted.",
    "attached": "Numbers attached.",
    "detached": "Detached, or at the end of its lease.",
    "quarantined": "In quarantine, or at the end of its lease.",
    "acquitted": "Back on its shelf.",
    "tested": "Sent; the answer is in the list of attempts.",
    "replayed": "Will be sent again.",
    "revoked": "Revoked: it opens nothing any more.",
    "ordered": "Ordered; the list shows how far it got.",
    "ruled": "Saved. The pool is looked at once a minute.",
    "unruled": "The pool keeps the size that people give it.",
    "approved": "Approved; it is being carried out.",
    "rejected": "Rejected.",
}
"""What a page says after a change, by the word in its address: never a text from outside."""


def render(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Draw one page. The cost is some hundred microseconds."""
    done = DONE.get(request.query_params.get("done", ""), "")
    return HTMLResponse(text_of(request, template, done=done, **values), status)


def text_of(request: Request, template: str, **values: object) -> str:
    """One page as text, for a page that is kept."""
    return _TEMPLATES.get_template(template).render(
        version=__version__, path=request.url.path, **{"person": None, "done": "", **values}
    )


def fragment(template: str, **values: object) -> str:
    """Draw a part of a page that is sent again and again while it is looked at."""
    return _TEMPLATES.get_template(template).render(**values)


def _moment(value: datetime | int | None) -> str:
    """An instant for people, UTC; ms since 1970 or a datetime."""
    if value is None:
        return "–"
    at = moment(value) if isinstance(value, int) else value
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _coded(text: str) -> Markup:
    """A sentence in which words between backticks are code."""
    parts = [f"<code>{escape(each)}</code>" if at % 2 else str(escape(each))
             for at, each in enumerate(text.split("`"))]  # fmt: skip
    return Markup("".join(parts))  # noqa: S704 -- escaped just above # nosec B704


def _phone(number: str) -> str:
    """A number in its international form; what is none stays as it is."""
    try:
        return parse_number(number, country="ZZ").international
    except InvalidNumber:
        return number


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "–"
    if value < 60:  # noqa: PLR2004 -- a minute
        return f"{value:.0f} s"
    if value < 3600:  # noqa: PLR2004 -- an hour
        return f"{value / 60:.1f} min"
    return f"{value / 3600:.1f} h"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("dni_allocator.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"coded": _coded, "moment": _moment, "phone": _phone, "seconds": _seconds}
    made.globals |= {"share": _share, "sparkline": sparkline, "area": area}
    return made


_TEMPLATES: Final = _environment()
