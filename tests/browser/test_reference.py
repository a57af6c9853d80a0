"""`/docs`: the API for people to read, on this machine alone, with nothing from elsewhere."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from tests.browser.test_dashboard import SERIOUS, TOO_WIDE, axe_core
from tests.support.demonstration import Show, showing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def _described(show: Show) -> dict[str, str]:
    """Every operation of the description: its id, its method and path."""
    # The first to ask waits until it is gathered, on a busy machine for seconds.
    spec = (await show.admin.get("/openapi.json", timeout=60)).json()
    return {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, item in spec["paths"].items()
        for method, operation in item.items()
    }


async def test_every_operation_is_drawn_with_nothing_from_elsewhere(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """No request leaves this host, the policy refuses nothing, and a link unfolds its shape."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        described = await _described(show)
        page = await browser.new_page()
        asked, complaints = set[str](), list[str]()
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.on("console", lambda line: complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        answer = await page.goto(f"{show.demo.url}/docs")
        assert answer is not None
        assert answer.status == 200, await page.content()
        drawn = await page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("details.operation")]
              .filter(each => !each.id.startsWith("shape-"))
              .map(each => [each.id, each.querySelector("summary").innerText]))"""
        )
        await page.locator("details#create_pool_pools_post > summary").click()
        await page.locator("#create_pool_pools_post a", has_text="PoolOut").first.click()
        await page.locator("#shape-PoolOut").get_by_text("closed_browser_delay_s").wait_for()

        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert asked == {urlsplit(show.demo.url).netloc}
        assert complaints == []
        missing = {
            name: words
            for name, words in described.items()
            if not all(word in drawn.get(name, "") for word in words.split())
        }
        assert len(described) > 90
        assert missing == {}
        await page.close()


async def test_a_command_is_copied_and_works(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    """With its example, for a shell that knows DNI and KEY."""
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        await page.goto(f"{show.demo.url}/docs")

        await page.locator("details#create_pool_pools_post > summary").click()
        await page.get_by_role("button", name="Copy the command of /pools, POST").click()
        copied = await page.evaluate("navigator.clipboard.readText()")

        before, _, body = copied.partition(" -d '")
        assert before == (
            'curl -sS "$DNI/pools" -H "Authorization: Bearer $KEY" '
            '-H "Content-Type: application/json"'
        )
        # The shared number of the example is the demonstration's already.
        told = {**json.loads(body.removesuffix("'")), "overflow_numbers": []}
        made = await show.admin.post("/pools", json=told)
        assert made.status_code == 201
        await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_reference_is_accessible_and_fits_a_phone(
    browser: Browser, redis_url: str, tmp_path: Path, scheme: str
) -> None:
    """Everything unfolded: axe-core finds nothing serious, and nothing is pushed sideways."""
    axe = axe_core()
    async with showing(browser, redis_url=redis_url, data_dir=tmp_path) as show:
        context = await browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]  # one of the two
            viewport={"width": 360, "height": 740},
        )
        page = await context.new_page()
        await page.goto(f"{show.demo.url}/docs")
        # A few of each kind: axe looks at each of thousands of texts.
        await page.evaluate(
            "() => document.querySelectorAll('details').forEach(each => { each.open = true; })"
        )
        wide = await page.evaluate(TOO_WIDE)
        await page.evaluate(
            """() => document.querySelectorAll("section.card").forEach(group =>
              [...group.querySelectorAll("details")].slice(2).forEach(each => each.remove()))"""
        )
        result = await page.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")

        found = [
            (each["id"], [node["target"] for node in each["nodes"]][:3])
            for each in result["violations"]
            if each["impact"] in SERIOUS
        ]
        assert wide == []
        assert found == [], json.dumps(found, indent=1)
        await context.close()
