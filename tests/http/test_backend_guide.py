"""The programs of the backend guide, run as they stand against the running service."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support import tagbuild
from tests.support.php import php_path
from tests.support.program import answers
from tests.support.service import ADMIN_KEY, POOL
from tests.support.waiting import wait_until_async

GUIDE: Final = (Path(__file__).parents[2] / "docs" / "backend.md").read_text("utf-8")
PROGRAMS: Final = dict(
    re.findall(r"^<!-- runs: (\w+) -->\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
)


def _command(language: str, file: Path) -> list[str | Path]:
    if language == "sh":
        return ["sh", file]
    if language == "python":
        return [sys.executable, file]
    if language == "node":
        return [tagbuild.find_node()[0], file]
    return [php_path(), file]


@pytest.mark.timeout(120)  # a start of the program, and four interpreters
async def test_every_program_records_its_call(
    serve: "subprocess.Popen[bytes]", port: int, tmp_path: Path
) -> None:
    """Who copies one has a working integration, with the visitor's data in its answer."""
    assert set(PROGRAMS) == {"sh", "python", "node", "php"}
    base = f"http://127.0.0.1:{port}"
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=base, headers=admin, timeout=20) as http:
        await wait_until_async(lambda: answers(http, "/readyz", 200), timeout_s=60, what="ready")
        pool = (await http.post("/pools", json=POOL)).json()
        numbers = {"numbers": ["+16025550101"]}
        assert (await http.post(f"/pools/{pool['id']}/numbers", json=numbers)).is_success
        page = {"key": pool["key"], "visitor_id": "ann", "page_id": "p",
                "fields": {"utm_source": "mail"}}  # fmt: skip
        assert (await http.post("/assign", json=page)).is_success
        made = await http.post("/keys", json={"name": "switch", "scopes": ["calls"]})
        secret = made.json()["secret"]
        ending = {"sh": "sh", "python": "py", "node": "mjs", "php": "php"}

        for language, program in PROGRAMS.items():
            file = tmp_path / f"example.{ending[language]}"
            file.write_text(program, "utf-8")

            ran = await asyncio.to_thread(
                subprocess.run,
                _command(language, file),
                env={**os.environ, "DNI": base, "DNI_KEY": secret},
                capture_output=True,
                text=True,
                check=False,
            )

            assert ran.returncode == 0, (language, ran.stderr)
            answer = json.loads(ran.stdout)
            assert answer["route_to"] == POOL["destinations"][0], language
            assert answer["attribution"]["fields"] == {"utm_source": "mail"}, language

        listed = (await http.get("/calls")).json()
    assert len(listed["calls"]) == len(PROGRAMS)
    assert serve.poll() is None
