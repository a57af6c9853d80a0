"""Every block of the documents is run or read, or says why not: what is copied works."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from dni_allocator.app import App
from dni_allocator.settings import Settings
from tests.support import answers as recorded
from tests.support.program import answers, free_port, started
from tests.support.service import ADMIN_KEY
from tests.support.snippets import PAGES, ROOT, Block, blocks, script
from tests.support.waiting import wait_until_async

BLOCKS: Final = [block for page in PAGES for block in blocks(page)]
RUN: Final = [page for page in PAGES if any(block.is_run for block in blocks(page))]
SHARED: Final = "+18005550199"
NUMBERS: Final = ["+16025550101", "+16025550113", "+16025550100", "+15205550116", "+14805550107"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The program, once for all pages: its address and its data."""
    room, port = tmp_path_factory.mktemp("program"), free_port()
    with started(room, port):
        yield f"http://127.0.0.1:{port}", room / "data"


@pytest.fixture
async def http(program: tuple[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """An operator of it; whatever pools a page left are deleted."""
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=program[0], headers=admin, timeout=20) as client:
        await wait_until_async(lambda: answers(client, "/readyz", 200), timeout_s=60, what="ready")
        yield client
        for site in (await client.get("/sites")).json()["sites"]:
            await client.delete(f"/sites/{site['id']}")
        for pool in (await client.get("/pools")).json()["pools"]:
            assert (await client.delete(f"/pools/{pool['id']}?force=true")).is_success


async def _world(http: httpx.AsyncClient) -> dict[str, str]:
    """What pages other than the quick start take for granted, by the names of their variables."""
    made = await http.post("/pools", json={
        "name": "Spring campaign", "country": "US", "destinations": ["(602) 555-0142"],
        "overflow_numbers": [SHARED], "allowed_origins": ["https://shop.example"],
        "vendor": "sandbox",
    })  # fmt: skip
    pool = made.json()
    paid = {"name": "Paid", "country": "US", "destinations": ["(602) 555-0142"]}
    other = (await http.post("/pools", json=paid)).json()
    attached = await http.post(f"/pools/{pool['id']}/numbers", json={"numbers": NUMBERS})
    assert attached.json()["attached"] == len(NUMBERS), attached.text
    visit = {"key": pool["key"], "page_id": "page-1", "fields": {"utm_source": "google"},
             "url": "https://shop.example/?gclid=EAIa"}  # fmt: skip
    for at in range(3):
        seen = await http.post("/assign", json={**visit, "visitor_id": f"visitor-{at}"},
                               headers={"Origin": "https://shop.example"})  # fmt: skip
        assert seen.is_success, seen.text
    call = (await http.post("/calls", json={"number": NUMBERS[0]})).json()
    source = {"kind": "google", "name": "Search", "medium": "paid"}
    source = (await http.post("/traffic-sources", json=source)).json()
    return {
        "POOL": pool["id"], "KEY": pool["key"], "PAID": other["id"], "CALL": call["id"],
        "SOURCE": source["id"], "VISITOR": "visitor-1",
        "AUTH": f"Authorization: Bearer {ADMIN_KEY}", "JSON": "Content-Type: application/json",
    }  # fmt: skip


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
async def test_the_shell_of_a_page_works_as_it_stands(
    page: Path, http: httpx.AsyncClient, program: tuple[str, Path], tmp_path: Path
) -> None:
    """Copied block after block into one terminal; the answers shown have the names that come."""
    address, data = program
    found = list(blocks(page))
    shell = [block for block in found if block.is_run]
    world = {} if page.name == "quick-start.md" else await _world(http)
    bash = shutil.which("bash")
    assert bash is not None

    ran = await asyncio.to_thread(
        subprocess.run,
        [bash, "-c", script(shell, address)],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("DNI_")},
            **world, "DNI": address, "DNI_KEY": ADMIN_KEY, "DNI_ADMIN_KEY": ADMIN_KEY,
            "DNI_DATA_DIR": str(data), "NO_PROXY": "127.0.0.1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    outputs = [file.read_text("utf-8") if (file := tmp_path / f"out.{at}").exists() else ""
               for at in range(len(shell))]  # fmt: skip
    assert ran.returncode == 0, f"{ran.stderr}\n{outputs}"
    for before, block in pairwise(found):
        if before.is_run and block.language == "json" and not block.said:
            told = _documents(outputs[shell.index(before)])
            assert told, f"{block}: no JSON came"
            assert _strange(json.loads(block.text), told[-1]) == [], block


def _documents(text: str) -> list[Any]:
    """The JSON documents of an output, one behind the other."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := next((i for i in range(at, len(text)) if text[i] in "{["), -1)) >= 0:
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def _strange(shown: Any, real: Any, where: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """Names that an example shows and an answer does not have. `…` stands for what was left out."""
    if isinstance(shown, dict) and isinstance(real, dict):
        found = [f"{where}.{name}" for name in shown if name != "…" and name not in real]
        for name in shown.keys() & real.keys():
            if name not in {"fields", "about"}:  # what a page told, which ids
                found += _strange(shown[name], real[name], f"{where}.{name}")
        return found
    if isinstance(shown, list) and isinstance(real, list) and real:
        return [each for one in shown for each in _strange(one, real[0], f"{where}[]")]
    return []


@cache
def _description() -> dict[str, Any]:
    """Of the interface, as the service gives it: quicker than to read twelve thousand lines."""
    found: dict[str, Any] = App(Settings(redis_url="redis://localhost")).api.openapi()
    return found


def test_there_are_blocks_and_pages_to_run() -> None:
    """The tests here would pass on nothing."""
    assert len(BLOCKS) > 70
    assert len(RUN) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_run_or_read_or_says_why_not(block: Block) -> None:
    """Nothing in the documents is only believed."""
    if block.said.startswith("not run: "):
        assert len(block.said) > len("not run: ") + 15, "a reason"
    elif block.said.startswith("checked by "):
        test = ROOT / block.said.removeprefix("checked by ")
        assert block.page.name in test.read_text("utf-8"), "that test does not read this page"
    elif block.said.startswith("answer: "):
        name, _, path = block.said.removeprefix("answer: ").rpartition(" ")
        real = json.loads(recorded.FILE.read_text("utf-8"))[name]["body"]
        for step in filter(None, path.split(".")):
            real = real[int(step) if step.isdecimal() else step]
        assert _strange(json.loads(block.text), real) == []
    elif block.said.startswith("body: "):
        spec = _description()
        method, path = block.said.removeprefix("body: ").split()
        body = spec["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
        schema = {**body["schema"], "components": spec["components"]}
        OAS31Validator(schema).validate(json.loads(block.text))
    elif block.said.startswith(("runs: ", "event: ")):
        assert block.page.name in {"backend.md", "webhooks.md"}
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "xml":
        ET.fromstring(block.text)  # noqa: S314 - ours
    else:
        assert block.is_run, "neither run nor explained"
