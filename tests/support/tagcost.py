"""Measures what the tag costs a large page, by the browser's own trace: `make bench-tag`.

Thread time of the page's main thread, so that a busy machine counts as little as it can: all that
the script does, from its compilation to the last look, on a first and on a returning view. Beside
it a bare pass over the same page, each node once, measured alike: the ratio holds on any machine.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from playwright.async_api import Browser, async_playwright

from tests.browser.standin import Standin, running
from tests.support.browser import chromium_path, visible_user_agent
from tests.support.waiting import wait_until_async

# Lists, links, prices, cards: elements with classes and ids, a fifth with `data-` attributes.
ROW: Final = (
    '<li class="row" id="r{0}"{1}><a href="/item/{0}" class="name">Item {0}</a> '
    '<b class="price">{0}.99</b></li>'
)
BODY: Final = (
    '<header><a id="number" href="tel:+16025550100">(602) 555-0100</a></header><ul>'
    + "".join(ROW.format(at, f' data-sku="s-{at}"' if at % 2 else "") for at in range(1700))
    + '</ul><footer><p>Call 602-<b>555</b>-0100 <img alt="602.555.0100"></p></footer>'
)
PAGE: Final = "<!doctype html><html><head><title>Shop</title>{}</head><body>{}</body></html>"
WALK: Final = b"""const walk = () => {
  const walker = document.createTreeWalker(document);
  while (walker.nextNode());
};
if (document.readyState === "loading") addEventListener("DOMContentLoaded", walk);
else walk();"""

# What of a trace runs a script; compiling is inside of the first.
_RUNS: Final = frozenset({"EvaluateScript", "FunctionCall", "RunMicrotasks", "v8.callFunction"})

# What an answer starts is over by then: a frame, and slices of 3 ms.
_SETTLED_S: Final = 0.4


class Spent(NamedTuple):
    """Milliseconds of one view: the longest task, and all of them."""

    longest: float
    total: float


async def _views(
    browser: Browser, url: str, is_answered: Callable[[int], bool], *, views: int
) -> list[Spent]:
    """Load the page so often in one profile; the script's time in each view."""
    context = await browser.new_context(user_agent=await visible_user_agent(browser))
    spent = []
    for view in range(views):
        page = await context.new_page()
        await browser.start_tracing(page=page, categories=["devtools.timeline", "v8"])
        await page.goto(url)
        await wait_until_async(partial(is_answered, view), what="the answer")
        await asyncio.sleep(_SETTLED_S)
        spent.append(_of(json.loads(await browser.stop_tracing())["traceEvents"]))
        await page.close()
    await context.close()
    return spent


def _of(events: list[dict[str, object]]) -> Spent:
    """The script's tasks in a trace: those of the thread that evaluated it, nested ones once."""
    runs = [each for each in events if each.get("ph") == "X" and each["name"] in _RUNS]
    threads = {
        (each["pid"], each["tid"])
        for each in runs
        if each["name"] == "EvaluateScript" and "/s." in str(each["args"])
    }
    tasks, end = [0.0], 0.0
    for each in sorted(runs, key=lambda each: _number(each, "ts")):
        start = _number(each, "ts")
        if (each["pid"], each["tid"]) in threads and start >= end:
            tasks.append(_number(each, "tdur") / 1000)
            end = start + _number(each, "dur")
    return Spent(longest=max(tasks), total=sum(tasks))


def _number(event: dict[str, object], name: str) -> float:
    return float(str(event.get(name, 0)))


async def measure(runs: int) -> dict[str, list[Spent]]:
    """First and returning views with the tag, and the bare pass, taking turns."""
    figures: dict[str, list[Spent]] = {"bare pass": [], "first view": [], "returning view": []}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(runs):
            with running() as standin:
                _lay_out(standin)

                def is_answered(view: int, standin: Standin = standin) -> bool:
                    return len(standin.heard("/assign")) > view

                bare = await _views(browser, f"{standin.site}/bare", lambda _: True, views=1)
                tag = await _views(browser, f"{standin.site}/tag", is_answered, views=2)
                for name, spent in zip(figures, [*bare, *tag], strict=True):
                    figures[name].append(spent)
        await browser.close()
    return figures


def _lay_out(standin: Standin) -> None:
    """The page with either script; `/s.` in an address is what the trace is searched for."""
    standin.files["/s.walk.js"] = WALK
    standin.pages["/bare"] = PAGE.format('<script async src="/s.walk.js"></script>', BODY)
    tag = standin.snippet().replace("tag.js?", "tag.js?s=/s.&")
    standin.pages["/tag"] = PAGE.format(tag, BODY)


def table(figures: dict[str, list[Spent]]) -> str:
    """Best and median, in Markdown."""
    bare = statistics.median(each.total for each in figures["bare pass"])
    lines = [
        "| main thread, ms | longest task: best | median | all: best | median | × bare pass |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, spent in figures.items():
        longest = [each.longest for each in spent]
        total = [each.total for each in spent]
        median = statistics.median(total)
        lines.append(
            f"| {name} | {min(longest):.1f} | {statistics.median(longest):.1f} "
            f"| {min(total):.1f} | {median:.1f} | {median / bare:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="What the tag costs a page of 5,000 elements.")
    parser.add_argument("--runs", type=int, default=20)
    sys.stdout.write(table(asyncio.run(measure(parser.parse_args().runs))))


if __name__ == "__main__":
    main()
