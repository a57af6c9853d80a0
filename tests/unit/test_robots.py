"""Who is no visitor, by what programs say of themselves."""

import json
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain import robots
from dni_allocator.domain.robots import LONGEST_USER_AGENT, is_library, is_prefetch, is_robot

MOZILLA = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP3A.240617.008; wv) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Version/4.0 Chrome/131.0.0.0 Mobile Safari/537.36"
)
ROBOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    MOZILLA + "HeadlessChrome/131.0.0.0 Safari/537.36",
    MOZILLA + "Chrome/131.0.0.0 Safari/537.36 Chrome-Lighthouse",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "python-httpx/0.28.1",
    "Go-http-client/2.0",
    "Wget/1.21.4",
    "WhatsApp/2.24.1",
    "Mozilla/5.0",
]
BROWSERS = {
    "chrome": MOZILLA + "Chrome/131.0.0.0 Safari/537.36",
    "edge": MOZILLA + "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "safari": IPHONE.replace("Mobile", "Version/17.5 Mobile") + " Safari/604.1",
    "facebook, iPhone": IPHONE + " [FBAN/FBIOS;FBAV/470.0.0.36.107;FBBV/613289345;"
    "FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.5.1;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5]",
    "facebook, Android": ANDROID + " [FB_IAB/FB4A;FBAV/470.0.0.36.107;IABMV/1;]",
    "messenger": IPHONE + " [FBAN/MessengerForiOS;FBAV/400.0.0.1;FBDV/iPhone14,5]",
    "instagram, iPhone": IPHONE + " Instagram 330.0.3.29.92 (iPhone14,5; iOS 17_5_1; en_US; en; "
    "scale=3.00; 1170x2532; 599273155)",
    "instagram, Android": ANDROID + " Instagram 390.0.0.43.81 Android (35/15; 420dpi; 1080x2142; "
    "Google/google; Pixel 8; shiba; shiba; en_US; 763461231; IABMV/1)",
    "tiktok, iPhone": IPHONE + " musical_ly_35.1.0 JsSdk/2.0 NetType/WIFI Channel/App Store "
    "ByteLocale/en Region/US isDarkMode/0 WKWebView/1 BytedanceWebview/d8a21c6",
    "tiktok, Android": ANDROID + " trill_2023501030 JsSdk/1.0 NetType/WIFI Channel/googleplay "
    "AppName/musical_ly app_version/35.1.3 ByteLocale/en ByteFullLocale/en Region/US "
    "AppId/1233 BytedanceWebview/d8a21c6",
    "linkedin": IPHONE + " [LinkedInApp]/9.30.1234",
    "snapchat": IPHONE + " Snapchat/13.4.0.38 (like Safari/8615.1.26.10.23, panda)",
    "pinterest": IPHONE + " [Pinterest/iOS]",
    "google app": IPHONE.replace("Mobile", "GSA/320.0 Mobile") + " Safari/604.1",
}
CATALOGUE = json.loads(files("dni_allocator.domain").joinpath("robots.json").read_text("utf-8"))


@pytest.mark.parametrize("user_agent", ROBOTS)
def test_robots_that_name_themselves_are_found(user_agent: str) -> None:
    """Search engines, checkers, previews and libraries: none of them ever calls a number."""
    assert is_robot(user_agent)
    assert is_robot(user_agent.upper())


@pytest.mark.parametrize("user_agent", BROWSERS.values(), ids=BROWSERS.keys())
def test_people_are_no_robots_in_an_app_either(user_agent: str) -> None:
    """Who clicks an advertisement in an app sees the page there: lists that are coarser say bot."""
    assert not is_robot(user_agent)


@pytest.mark.parametrize("said", ["FBCR/Google Fi", "FBMF/Google;FBBD/google", "FBCR/Discovery"])
def test_the_name_of_a_carrier_makes_nobody_a_robot(said: str) -> None:
    """Facebook's bracket tells of the telephone, in words of its maker and its carrier."""
    assert is_robot(f"{IPHONE} {said}")
    assert not is_robot(f"{IPHONE} [FBAN/FBIOS;FBAV/470.0;{said};FBID/phone]")
    assert not is_robot(f"{IPHONE} [FBAN/FBIOS;FBAV/470.0;{said}")


def test_a_robot_in_an_app_is_a_robot() -> None:
    """Only the bracket is passed over, not what stands around it."""
    assert is_robot(f"{MOZILLA} HeadlessChrome/131.0 [FBAN/FBIOS;FBAV/470.0]")
    assert is_robot(f"{IPHONE} [FBAN/FBIOS;FBAV/470.0] Googlebot/2.1")


def test_who_says_nothing_is_no_robot() -> None:
    """A backend that asks on behalf of a visitor may send no user agent."""
    assert not is_robot("")


def test_the_list_names_its_source() -> None:
    """Vendored data without origin and version can be neither trusted nor renewed."""
    assert CATALOGUE["source"].endswith("/isbot")
    assert re.fullmatch(r"\d+\.\d+\.\d+", CATALOGUE["version"])
    assert "Unlicense" in CATALOGUE["licence"]
    assert len(CATALOGUE["patterns"]) > 200


def as_one_regex() -> re.Pattern[str]:
    """The patterns as isbot itself uses them: joined, ignoring case."""
    patterns = CATALOGUE["patterns"]
    return re.compile(
        "|".join(robots._REWRITTEN.get(each, each) for each in patterns),  # noqa: SLF001 -- the oracle must read the same
        re.ASCII | re.IGNORECASE,
    )


ONE_REGEX = as_one_regex()
WORDS = sorted({part for each in CATALOGUE["patterns"] for part in re.findall(r"\w+", each)})
SPOKEN = st.lists(st.sampled_from([*WORDS, *" /.;()[]|@-", "1.0", "FB_IAB", *ROBOTS[:6]])).map(
    "".join
)


@given(SPOKEN | st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_sorting_the_patterns_by_cost_changes_no_answer(user_agent: str) -> None:
    """Words are searched as words and the rest as regexes; together they are isbot's one regex."""
    found = ONE_REGEX.search(user_agent) is not None

    assert robots._PATTERNS.find(user_agent.lower()) is found  # noqa: SLF001 -- before brackets are cut


def test_every_rewriting_is_still_needed() -> None:
    """A release that changes a pattern leaves its rewriting behind; then it goes."""
    rewritten = set(robots._REWRITTEN)  # noqa: SLF001 -- the table under test

    assert rewritten <= set(CATALOGUE["patterns"])
    for pattern in rewritten:
        with pytest.raises(re.error):
            re.compile(pattern)


def test_no_pattern_repeats_a_repetition_without_end() -> None:
    """`(a+)+` takes exponential time on a text made for it; nothing of that form may come in."""
    nested = re.compile(r"[+*]\??\)(?:[+*]|\{\d*,\})")

    assert nested.search("(?:a+)*")
    assert [each for each in CATALOGUE["patterns"] if nested.search(each)] == []


@given(st.text(min_size=LONGEST_USER_AGENT), st.text())
def test_only_the_beginning_is_read(text: str, more: str) -> None:
    """So a long text costs no more than a short one, whatever stands in it."""
    assert is_robot(text + more) is is_robot(text[:LONGEST_USER_AGENT])


@pytest.mark.parametrize(
    "piece",
    ["a", "@a-", "1.", "a/", " a-.", "; a", "/1.", "[fban/", "(", "goog", "javaj", "\u0130"],
)
def test_texts_made_to_be_slow_are_answered(piece: str) -> None:
    """Repetitions of what patterns begin with, up to a header's largest size."""
    assert is_robot(piece * 65_536) is is_robot((piece * 65_536)[:LONGEST_USER_AGENT])


@pytest.mark.parametrize(
    "purpose",
    ["prefetch", "Prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "prerender",
     "preview", " prefetch ; prerender", "prefetch, prefetch"],
)  # fmt: skip
def test_pages_loaded_in_advance_are_known(purpose: str) -> None:
    """Chrome, Firefox and Safari say so, each in its own header."""
    assert is_prefetch(purpose)


@pytest.mark.parametrize("purpose", ["", "navigate", "prefetched", ";", "x=prefetch"])
def test_other_purposes_are_people(purpose: str) -> None:
    """Unknown values are left alone: a visitor without a number is the dearer mistake."""
    assert not is_prefetch(purpose)


@pytest.mark.parametrize("user_agent", ["curl/8.5.0", "python-httpx/0.28.1", "Go-http-client/1.1"])
def test_the_plain_name_of_a_library_is_told_from_a_crawler(user_agent: str) -> None:
    """It may be a backend of the customer's that asks on a visitor's behalf."""
    assert is_library(user_agent)
    assert is_robot(user_agent)
    assert not is_library(f"{user_agent}-crawler (+https://crawler.example/)")


def test_a_crawler_is_no_library() -> None:
    """Who adds a name of its own to the library's is what it says."""
    assert not is_library("Googlebot/2.1 (+http://www.google.com/bot.html)")
    assert not is_library("curlbot/1.0")
