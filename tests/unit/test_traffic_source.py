"""Where a visit came from, told by real-world URLs, referrers and captured fields."""

import json
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dni_allocator.domain.conditions import Condition, Operator
from dni_allocator.domain.marketing import search_of
from dni_allocator.domain.recognition import CLICK_ID_PARAMETERS, DIRECT, recognise
from dni_allocator.domain.traffic_source import Kind, Medium, TrafficSource

SHOP = "https://www.shop.example/"


class Case(NamedTuple):
    """A visit, and its source as `kind, name, medium`."""

    expected: str
    url: str = SHOP
    referrer: str = ""
    fields: dict[str, str] = {}  # noqa: RUF012 -- never written to


CLICK_IDS = [
    Case("google, google, paid", f"{SHOP}?gclid=EAIaIQobChMI", "https://www.google.com/"),
    Case("google, google, paid", f"{SHOP}?gbraid=0AAAA&gad_source=1", "https://www.google.de/"),
    Case(
        "google, google, paid", f"{SHOP}?wbraid=Cj8KCQ", "android-app://com.google.android.youtube/"
    ),
    Case("google, google, paid", f"{SHOP}?gad_source=1"),
    Case("google, google, paid", f"{SHOP}?dclid=CKq", "https://www.nytimes.com/"),
    # A tagged ad: auto-tagging counts before what somebody typed.
    Case("google, google, paid", f"{SHOP}?utm_source=newsletter&utm_medium=email&gclid=EAIa"),
    Case(
        "microsoft, bing, paid",
        f"{SHOP}?msclkid=7a1b&utm_source=bing&utm_medium=cpc",
        "https://www.bing.com/",
    ),
    Case("tiktok, tiktok, paid", f"{SHOP}?ttclid=E.C.P", "https://www.tiktok.com/"),
    Case("linkedin, linkedin, paid", f"{SHOP}?li_fat_id=4b2", "https://www.linkedin.com/"),
    Case("paid, x, paid", f"{SHOP}?twclid=2-4h", "https://t.co/abc"),
    Case("paid, reddit, paid", f"{SHOP}?rdt_cid=5", "https://out.reddit.com/"),
    Case("paid, snapchat, paid", f"{SHOP}?ScCid=31c"),
    Case("paid, yandex, paid", f"{SHOP}?yclid=1234", "https://yandex.ru/"),
    # Facebook puts fbclid on every link: money is told by the campaign.
    Case("meta, facebook, organic", f"{SHOP}?fbclid=IwAR0", "https://l.facebook.com/"),
    Case("meta, facebook, paid", f"{SHOP}?fbclid=IwAR0&utm_source=facebook&utm_medium=paid_social"),
    Case("organic, google, organic", f"{SHOP}?srsltid=AfmB", "https://www.google.com/"),
    # An advertisement's link that somebody shared on Facebook: the first in the table counts.
    Case("google, google, paid", f"{SHOP}?gclid=EAIa&fbclid=IwAR0", "https://m.facebook.com/"),
    # Captured by an earlier page view, which is what the tag does.
    Case("google, google, paid", f"{SHOP}contact", SHOP, {"gclid": "EAIa", "landing_page": SHOP}),
    Case("paid, x, paid", f"{SHOP}contact", SHOP, {"landing_page": f"{SHOP}?twclid=2-4h"}),
    # A broken host costs no click id.
    Case("google, google, paid", "https://[shop/?gclid=EAIa"),
]

CAMPAIGNS = [
    Case("google, google, paid", f"{SHOP}?utm_source=google&utm_medium=cpc"),
    Case("google, google, paid", f"{SHOP}?utm_source=GoogleAds&utm_medium=PPC"),
    Case("google, youtube, paid", f"{SHOP}?utm_source=youtube&utm_medium=cpv"),
    Case("referral, youtube, other", f"{SHOP}?utm_source=youtube&utm_medium=video"),
    Case(
        "organic, google, organic", f"{SHOP}?utm_source=google&utm_medium=organic&utm_campaign=gmb"
    ),
    Case("organic, google, organic", f"{SHOP}?utm_source=gbp&utm_medium=organic"),
    Case("organic, google, other", f"{SHOP}?utm_source=google"),
    Case("referral, google, email", f"{SHOP}?utm_source=google&utm_medium=email"),
    Case("microsoft, bing, paid", f"{SHOP}?utm_source=bing&utm_medium=cpc"),
    Case("meta, facebook, paid", f"{SHOP}?utm_source=fb&utm_medium=paid"),
    Case(
        "meta, instagram, paid",
        f"{SHOP}?utm_source=ig&utm_medium=paid-social",
        "https://l.instagram.com/",
    ),
    Case(
        "meta, instagram, organic",
        f"{SHOP}?utm_source=ig&utm_medium=social&utm_content=link_in_bio",
    ),
    Case("tiktok, tiktok, paid", f"{SHOP}?utm_source=tiktok&utm_medium=cpm"),
    Case("linkedin, linkedin, paid", f"{SHOP}?utm_source=linkedin&utm_medium=paid"),
    Case("paid, taboola, paid", f"{SHOP}?utm_source=taboola&utm_medium=display"),
    Case("referral, newsletter, email", f"{SHOP}?utm_source=newsletter&utm_medium=email"),
    Case("referral, chatgpt.com, other", f"{SHOP}?utm_source=chatgpt.com", "https://chatgpt.com/"),
    Case("referral, flyer, other", f"{SHOP}?utm_source=Flyer&utm_medium=qr"),
    # A campaign counts before the referrer of the mailbox it was opened in.
    Case(
        "referral, klaviyo, email",
        f"{SHOP}?utm_source=Klaviyo&utm_medium=email",
        "https://mail.google.com/",
    ),
    # A medium alone names nobody.
    Case("organic, google, organic", f"{SHOP}?utm_medium=cpc", "https://www.google.com/"),
    Case("meta, facebook, paid", SHOP, SHOP, {"utm_source": "facebook", "utm_medium": "cpc"}),
]

SEARCHES = [
    Case("organic, google, organic", referrer=referrer)
    for referrer in (
        "https://www.google.com/", "https://www.google.de/", "https://www.google.co.uk/",
        "https://www.google.com.au/", "https://www.google.cat/", "https://www.google.co.jp/search?q=x",
        "https://google.com/", "https://maps.google.com/", "https://news.google.com/",
        "https://www.google.com/url?sa=t&url=https%3A%2F%2Fwww.shop.example%2F",
        "android-app://com.google.android.googlequicksearchbox/",
        "android-app://com.google.android.googlequicksearchbox/https/www.google.com",
        # Its cache of this very page, by name and by path.
        "https://www-shop-example.cdn.ampproject.org/", "https://cdn.ampproject.org/c/s/www.shop.example/p",
        "https://www.google.com/amp/s/www.shop.example/amp/",
    )
] + [
    Case(f"organic, {name}, organic", referrer=referrer)
    for name, referrer in (
        ("bing", "https://www.bing.com/"), ("bing", "https://cn.bing.com/search?q=x"),
        ("yahoo", "https://search.yahoo.com/"), ("yahoo", "https://r.search.yahoo.com/_ylt=A/RK=2"),
        ("yahoo", "https://search.yahoo.co.jp/"), ("yahoo", "https://de.search.yahoo.com/"),
        ("duckduckgo", "https://duckduckgo.com/"), ("duckduckgo", "https://html.duckduckgo.com/"),
        ("ecosia", "https://www.ecosia.org/"), ("brave", "https://search.brave.com/"),
        ("qwant", "https://www.qwant.com/"), ("startpage", "https://www.startpage.com/"),
        ("yandex", "https://yandex.ru/"), ("yandex", "https://yandex.com.tr/"), ("yandex", "https://ya.ru/"),
        ("baidu", "https://www.baidu.com/link?url=x"), ("baidu", "https://m.baidu.com/"),
        ("sogou", "https://www.sogou.com/"), ("so.com", "https://www.so.com/"),
        ("shenma", "https://m.sm.cn/"), ("naver", "https://search.naver.com/"),
        ("naver", "https://m.search.naver.com/"), ("daum", "https://search.daum.net/"),
        ("seznam", "https://search.seznam.cz/"), ("coccoc", "https://coccoc.com/search"),
        ("mail.ru", "https://go.mail.ru/"), ("goo", "https://search.goo.ne.jp/"),
        ("aol", "https://search.aol.com/"), ("t-online", "https://suche.t-online.de/"),
        ("kagi", "https://kagi.com/"),
    )
]  # fmt: skip

REFERRERS = [
    Case("meta, facebook, organic", referrer="https://l.facebook.com/"),
    Case("meta, facebook, organic", referrer="https://lm.facebook.com/l.php?u=x"),
    Case("meta, facebook, organic", referrer="http://m.facebook.com"),
    Case("meta, facebook, organic", referrer="android-app://com.facebook.katana/"),
    Case("meta, instagram, organic", referrer="https://l.instagram.com/"),
    Case("meta, instagram, organic", referrer="android-app://com.instagram.android/"),
    Case("tiktok, tiktok, organic", referrer="https://www.tiktok.com/"),
    Case("linkedin, linkedin, organic", referrer="https://www.linkedin.com/"),
    Case("linkedin, linkedin, organic", referrer="android-app://com.linkedin.android/"),
    Case("linkedin, linkedin, organic", referrer="https://lnkd.in/abc"),
    Case("referral, x, organic", referrer="https://t.co/abc"),
    Case("referral, youtube, organic", referrer="https://www.youtube.com/"),
    Case("referral, reddit, organic", referrer="https://out.reddit.com/"),
    Case("referral, pinterest, organic", referrer="https://www.pinterest.co.uk/"),
    Case("referral, mail.google.com, email", referrer="https://mail.google.com/"),
    Case("referral, com.google.android.gm, email", referrer="android-app://com.google.android.gm/"),
    Case("referral, outlook.live.com, email", referrer="https://outlook.live.com/"),
    Case("referral, com.slack, referral", referrer="android-app://com.slack/"),
    Case("referral, docs.google.com, referral", referrer="https://docs.google.com/"),
    Case("referral, chatgpt.com, referral", referrer="https://chatgpt.com/"),
    Case("referral, gemini.google.com, referral", referrer="https://gemini.google.com/"),
    Case("referral, yelp.com, referral", referrer="https://www.yelp.com/biz/x"),
    Case("referral, blog.partner.example, referral", referrer="https://blog.partner.example/a"),
    # Somebody else's page in Google's cache is that page.
    Case(
        "referral, my-news.example, referral",
        referrer="https://my--news-example.cdn.ampproject.org/",
    ),
    Case("google, google, paid", referrer="https://www.googleadservices.com/pagead/aclk"),
    Case("google, google, paid", referrer="https://googleads.g.doubleclick.net/"),
    # Looks like a search engine and is none.
    Case(
        "referral, google.com.evil.example, referral", referrer="https://google.com.evil.example/"
    ),
    Case("referral, google.evil.com, referral", referrer="https://google.evil.com/"),
    Case("referral, notgoogle.com, referral", referrer="https://notgoogle.com/"),
    Case("referral, bing.com.evil.net, referral", referrer="https://bing.com.evil.net/"),
    # What the tag remembered of the landing counts before the page's own referrer.
    Case("organic, bing, organic", f"{SHOP}contact", SHOP, {"referrer": "https://www.bing.com/"}),
]

DIRECTS = [
    Case("direct, direct, none"),
    Case("direct, direct, none", ""),
    # The site itself, above and below.
    Case("direct, direct, none", referrer=f"{SHOP}products"),
    Case("direct, direct, none", referrer="https://shop.example/"),
    Case("direct, direct, none", referrer="https://checkout.shop.example/"),
    Case("direct, direct, none", "https://booking.shop.example/", SHOP),
    Case("direct, direct, none", referrer="https://tagassistant.google.com/"),
    Case("direct, direct, none", referrer="about:client"),
    Case("direct, direct, none", referrer="https://[broken"),
    Case("direct, direct, none", f"{SHOP}?gclid=&utm_source="),
    # A cookie of an earlier click is better than nothing, and worse than anything else.
    Case("meta, facebook, organic", fields={"_fbc": "fb.1.1596403881668.IwAR0"}),
    Case("organic, bing, organic", SHOP, "https://www.bing.com/", {"_fbc": "fb.1.1596.IwAR0"}),
]  # fmt: skip


@pytest.mark.parametrize("case", [*CLICK_IDS, *CAMPAIGNS, *SEARCHES, *REFERRERS, *DIRECTS])
def test_real_visits_are_recognised(case: Case) -> None:
    """Click ids, then campaigns, then the referrer, then a cookie; else the visit was direct."""
    found = recognise(case.fields, case.url, case.referrer)

    assert f"{found.kind}, {found.name}, {found.medium}" == case.expected


def test_says_what_it_rests_on() -> None:
    """`told_by` is the evidence, so that a marketer can check the answer."""
    evidence = [
        recognise({}, f"{SHOP}?wbraid=1", None).told_by,
        recognise({}, f"{SHOP}?utm_source=google", None).told_by,
        recognise({}, SHOP, "https://www.bing.com/").told_by,
        recognise({"_fbc": "fb.1.2.x"}, SHOP, None).told_by,
        recognise({}, None, None).told_by,
    ]

    assert evidence == ["wbraid", "utm", "referrer", "_fbc", "nothing"]


def own(
    source_id: str, kind: Kind, *conditions: Condition, medium: Medium | None = None
) -> TrafficSource:
    """A source of an operator's."""
    return TrafficSource(
        id=source_id,
        name=f"Ours {source_id}",
        kind=kind,
        created_at="2026-11-25T08:00:00Z",
        medium=medium,
        conditions=conditions,
    )


def test_own_sources_come_first_in_their_order() -> None:
    """An operator's source wins over every rule; of several, the first that holds."""
    partner = Condition("referrer.host", Operator.ENDS_WITH, ("partner.example",))
    click = Condition("gclid", Operator.PRESENT)
    brand = Condition("utm_campaign", Operator.STARTS_WITH, ("brand",))
    sources = (
        own("src_3", Kind.CUSTOM),
        own("src_1", Kind.CUSTOM, click, brand, medium=Medium.PAID),
        own("src_2", Kind.CUSTOM, partner),
    )

    first = recognise(
        {}, f"{SHOP}?gclid=1&utm_campaign=Brand-US", "https://partner.example", sources
    )
    second = recognise({}, f"{SHOP}?gclid=1", "https://blog.partner.example/", sources)
    neither = recognise({}, f"{SHOP}?gclid=1", "https://www.google.com/", sources)

    assert (first.kind, first.id, first.medium) == (Kind.CUSTOM, "src_1", Medium.PAID)
    assert (second.name, second.id, second.told_by) == ("Ours src_2", "src_2", "conditions")
    assert (neither.kind, neither.id) == (Kind.GOOGLE, None)


def test_a_linked_source_is_named_by_its_id() -> None:
    """The first the pool links whose kind, and medium if it has one, is that of the visit."""
    sources = (
        own("src_paid", Kind.META, medium=Medium.PAID),
        own("src_any", Kind.META),
        own("src_more", Kind.META),
    )
    paid = recognise({}, f"{SHOP}?fbclid=1&utm_source=fb&utm_medium=paid", None, sources)
    organic = recognise({}, SHOP, "https://l.facebook.com/", sources)
    other = recognise({}, SHOP, "https://www.bing.com/", sources)

    assert [paid.id, organic.id, other.id] == ["src_paid", "src_any", None]


def test_a_record_is_read_back_as_it_was() -> None:
    """With its conditions and without."""
    condition = Condition("url.path", Operator.STARTS_WITH, ("/spring",))
    records = (
        own("src_1", Kind.CUSTOM, condition, medium=Medium.EMAIL),
        own("src_2", Kind.TIKTOK),
    )

    assert tuple(TrafficSource.from_json(each.to_json()) for each in records) == records


@given(
    st.dictionaries(
        st.sampled_from(["gclid", "utm_source", "utm_medium", "referrer", "_fbc"]), st.text()
    ),
    st.text(),
    st.text(),
)
def test_never_raises_on_what_a_page_reports(
    fields: dict[str, str], url: str, referrer: str
) -> None:
    """Whatever a page sends, there is an answer, and it is short."""
    found = recognise(fields, url, referrer)

    assert len(found.name) <= 128
    assert recognise({}, None, None) == DIRECT


def test_every_rule_is_documented() -> None:
    """The page names every click id, kind and medium, and no host is in two rules."""
    page = (Path(__file__).parents[2] / "docs/traffic-sources.md").read_text("utf-8")
    table = json.loads((files("dni_allocator.domain") / "traffic_rules.json").read_text("utf-8"))
    hosts = [host for row in table["referrers"] for host in row["hosts"]]
    written = [source for row in table["campaigns"] for source in row["sources"]]

    missing = [
        name for name in (*CLICK_ID_PARAMETERS, *Kind, *Medium, "_fbc") if f"`{name}`" not in page
    ]

    assert missing == []
    assert len(hosts) == len(set(hosts))
    assert len(written) == len(set(written))


@pytest.mark.parametrize(
    ("referrer", "told"),
    [
        ("https://www.google.co.uk/", {"search_engine": "google"}),
        (
            "https://search.naver.com/s?query=a+b",
            {"search_engine": "naver", "search_keyword": "a b"},
        ),
        ("https://www.baidu.com/s?wd=x", {"search_engine": "baidu", "search_keyword": "x"}),
        ("https://mail.google.com/mail", {}),
        ("https://docs.google.com/document", {}),
        ("https://google.shop.example/", {}),
        ("https://[::1", {}),
        ("", {}),
    ],
)
def test_a_search_is_known_by_the_rules_of_sources(referrer: str, told: dict[str, str]) -> None:
    """What is an engine there is one here; a letter or a document in its house is none."""
    assert search_of(referrer) == told
