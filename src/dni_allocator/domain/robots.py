"""Who is no visitor: programs that name themselves in `User-Agent`, and pages nobody looks at yet.

The patterns are isbot's: `robots.json` beside this file, vendored unchanged, with its version and
licence inside; `scripts/update_robot_patterns.py` takes another release. They know the in-app
browsers of Facebook, Instagram, TikTok and the like for what they are: people, and those whom paid
social is about. A program that hides is not found here.
"""

import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Final, NamedTuple

LONGEST_USER_AGENT: Final = 512
"""Characters that are looked at, so that nobody buys much time with a long one."""


def is_robot(user_agent: str) -> bool:
    """Whether a user agent is that of a known robot, checker, previewer or HTTP library.

    "" is no robot: a backend that asks on a visitor's behalf may send none, and crawlers name
    themselves.

    Cost: about 40 µs for a browser's, 0.3 ms for the worst text that was found; so the answer is
    worth keeping, as `api.caller` does (0.3 µs). One regex of all patterns took 200 to 460 µs.
    """
    text = user_agent[:LONGEST_USER_AGENT].lower()
    return _PATTERNS.find(_ABOUT_THE_PHONE.sub("", text))


def is_refused(user_agent: str) -> bool:
    """Whether a caller of this user agent gets no number: a robot, but no library's plain name."""
    return is_robot(user_agent) and not is_library(user_agent)


def is_library(user_agent: str) -> bool:
    """Whether a user agent is the plain one of a program's HTTP library, such as `curl/8.5.0`.

    isbot counts these as robots, and on a website they are. Here they are also a customer's own
    backend that asks on a visitor's behalf, or an engineer who tries the call. Who farms numbers
    on purpose writes what a browser writes; against them stand the limits, not this list.
    """
    return _LIBRARY.fullmatch(user_agent) is not None


def is_prefetch(purpose: str) -> bool:
    """Whether a `Sec-Purpose`, `Purpose`, `X-Purpose` or `X-Moz` says that nobody looks yet.

    A page that is loaded in advance may never be shown. The values are `prefetch` and `prerender`,
    also with parameters (`prefetch;prerender`), and `preview`.
    """
    return any(
        token.strip() in _IN_ADVANCE for token in purpose.lower().replace(",", ";").split(";")
    )


_IN_ADVANCE: Final = frozenset({"prefetch", "prerender", "preview"})

_LIBRARY: Final = re.compile(
    r"(?:python/\S+ )?"
    r"(?:aiohttp|apache-httpclient|axios|curl|dart|faraday|go-http-client|guzzlehttp|insomnia|java"
    r"|k6|ktor-client|libwww-perl|locust|node|node-fetch|okhttp|postmanruntime|python-httpx"
    r"|python-requests|python-urllib|reqwest|ruby|undici|wget|wrk)(?:/[\w.]+)?(?: \([\w./ -]+\))?",
    re.IGNORECASE,
)

# Facebook's apps list the telephone, its maker and its carrier in a bracket of their own. The
# carrier's name is free text: `FBCR/Google Fi` would make its customers a search engine.
_ABOUT_THE_PHONE: Final = re.compile(r"\[fb(?:an|_iab)/[^\]]*\]?")

# What JavaScript reads and Python does not: look-behind of several lengths, and a hyphen after a
# class inside a class.
_REWRITTEN: Final = {
    "(?<! channel/|google/)google(?!(?:wv|app|/google| pixel))": (
        "(?<! channel/)(?<!google/)google(?!(?:wv|app|/google| pixel))"
    ),
    r"^mozilla/\d\.\d\s\((?:compatible;)?(?:\s?[\w\d-.]+[\s/]\d+\.\d+)?\)$": (
        r"^mozilla/\d\.\d\s\((?:compatible;)?(?:\s?[\w.-]+[\s/]\d+\.\d+)?\)$"
    ),
}
_LITERAL: Final = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\\W)+")


class _Patterns(NamedTuple):
    """The patterns by what they cost. All are for lower case.

    Most are plain words, for which searching a text beats a regex; and a regex that need not
    ignore case skips to where it can begin.
    """

    words: tuple[str, ...]
    beginnings: tuple[str, ...]
    regexes: tuple[re.Pattern[str], ...]

    def find(self, text: str) -> bool:
        """Whether any of them is in a text."""
        return (
            text.startswith(self.beginnings)
            or any(word in text for word in self.words)
            or any(regex.search(text) for regex in self.regexes)
        )


def _sort_out(patterns: Iterable[str]) -> _Patterns:
    words, beginnings, regexes = [], [], []
    for pattern in patterns:
        bare = pattern.removeprefix("^")
        if not _LITERAL.fullmatch(bare):
            # ASCII, since classes of JavaScript know no other letters and digits.
            regexes.append(re.compile(_REWRITTEN.get(pattern, pattern), re.ASCII))
        elif bare == pattern:
            words.append(re.sub(r"\\(.)", r"\1", bare))
        else:
            beginnings.append(re.sub(r"\\(.)", r"\1", bare))
    return _Patterns(tuple(words), tuple(beginnings), tuple(regexes))


_PATTERNS: Final = _sort_out(
    json.loads(files(__package__).joinpath("robots.json").read_text("utf-8"))["patterns"]
)
