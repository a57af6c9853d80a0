"""Documents that lag behind the code are worse than none: what can be compared, is."""

import json
import re
import subprocess
import sys
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from dni_allocator import __version__
from dni_allocator.api import errors as api_errors
from dni_allocator.domain import errors as domain_errors
from dni_allocator.domain.catalogue import KINDS
from dni_allocator.domain.errors import DniError
from dni_allocator.domain.events import Event, from_entry
from dni_allocator.domain.lease import Reason
from dni_allocator.domain.webhook import RETRY_DELAYS_S
from dni_allocator.settings import Settings
from dni_allocator.store import keys
from dni_allocator.store.keys import PoolKeys, ShardKeys
from dni_allocator.webhooks.signing import new_secret, sign

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dni_allocator"
DOCUMENTS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#([^)\s]*))?\)")


def read(name: str) -> str:
    """The text of a document."""
    return (ROOT / name).read_text("utf-8")


def prose(text: str) -> str:
    """A document without its code blocks, in which brackets mean something else."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names by which headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def first_cells(text: str) -> list[str]:
    """What is in code type in the first column of the tables of a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_there_are_documents_to_check() -> None:
    """The tests below would pass on nothing."""
    assert ROOT / "README.md" in DOCUMENTS
    assert len(DOCUMENTS) > 15


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """A reader who follows a link, or looks at a picture, finds something there."""
    broken = []

    for target, fragment in LINK.findall(prose(document.read_text("utf-8"))):
        path = document.parent / unquote(target)
        if not path.exists() or (fragment and fragment not in anchors(path.read_text("utf-8"))):
            broken.append(f"{target}#{fragment}")

    assert broken == []


def test_readme_shows_the_pictures_and_the_two_commands() -> None:
    """A newcomer sees what it is, and starts it, without scrolling far."""
    readme = read("README.md")

    assert "docs/images/demo.png" in readme
    assert "docs/images/flow.svg" in readme
    assert readme.index("make run") < readme.index("make test") < 900


def test_every_page_is_in_the_index() -> None:
    """A page nobody is led to is not read."""
    listed = {target for target, _ in LINK.findall(read("docs/README.md"))}

    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert len(pages) > 20
    assert pages - listed == set()


def test_the_settings_table_is_the_settings() -> None:
    """Every variable with its default, in the order of the code, and none that does not exist."""
    rows = re.findall(r"^\| `(DNI_\w+)` \| (\S+) \| \S", read("docs/operations.md"), re.MULTILINE)

    expected = [
        (f"DNI_{name.upper()}", f"`{field.default}`" if field.default else "(none)")
        for name, field in Settings.model_fields.items()
    ]
    assert rows == expected


def error_codes(*modules: ModuleType) -> set[str]:
    """The codes of all errors that are defined in some modules."""
    return {
        value.code
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, DniError)
    }


def test_every_error_code_is_explained() -> None:
    """Whoever meets a code finds what it means and what to do, in one place."""
    documented = read("docs/errors.md")
    codes = error_codes(domain_errors, api_errors) | set(api_errors.STATUS_OF)

    assert len(codes) > 15
    assert {code for code in codes if f"`{code}`" not in documented} == set()


def test_the_statuses_in_the_error_table_are_those_that_are_sent() -> None:
    """The table of codes says what the one table in the code says."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", read("docs/errors.md"), re.MULTILINE)
    documented = {code: int(status) for code, status in rows}

    assert documented.items() >= api_errors.STATUS_OF.items()
    assert documented.keys() - api_errors.STATUS_OF.keys() == {"internal-error"}


def test_every_reason_of_an_answer_is_explained() -> None:
    """Clients match on reasons, so each has its row."""
    documented = set(re.findall(r"^\| `\w+` \| `(\w+)` \|", read("docs/errors.md"), re.MULTILINE))

    assert documented == {reason.value for reason in Reason}


def test_every_script_is_in_the_table_of_scripts() -> None:
    """Who wonders what a script replies and costs need not read Lua first; none is left over."""
    text = read("docs/redis.md")
    scripts = {path.stem for path in (PACKAGE / "store" / "lua").glob("*.lua")}
    table = text[text.index("| script |") : text.index("## The clock")]

    assert len(scripts) > 20
    assert set(first_cells(table)) == scripts


def test_every_key_is_in_the_table_of_keys() -> None:
    """Whoever looks into Redis finds every key explained."""
    shard = ShardKeys(0)
    one = "<endpoint>"
    written = {
        *(text for text in astuple(PoolKeys.of(shard, "<pool>"))[2:] if isinstance(text, str)),
        *(shard.events, shard.pools, shard.due, shard.cursors, shard.erasing),
        *(shard.forwarder_lock(one), shard.retries(one), shard.dead_letters(one)),
        *(shard.parked(one), shard.health(one), shard.attempts(one), shard.failures(one)),
        *(shard.history, shard.history_position, shard.history_lock),
        *(shard.tally, keys.number_directory("<number>"), keys.site_key_directory("<")),
        *(shard.calls, keys.provider_call("<")),
        *(shard.ledger("purchases"), shard.ledger_log("purchases"), shard.ledger_open("purchases")),
        *(keys.SANDBOX, keys.BUYER, keys.MIGRATING, shard.scaled),
        *(keys.META, keys.ADMIN_KEYS, keys.AUDIT, keys.WEBHOOKS, keys.SITES, keys.FORWARDERS),
    }
    documented = [cell.replace("{s<n>}", "{s0}") for cell in first_cells(read("docs/redis.md"))]

    missing = {key for key in written if not any(cell.startswith(key) for cell in documented)}
    assert missing == set()


def test_the_retry_table_is_the_schedule() -> None:
    """An operator who counts on the table counts right."""
    seconds = {"s": 1, "min": 60, "h": 3600}
    rows = re.findall(r"^\| \d+ \| (\d+) (s|min|h) \|$", read("docs/webhooks.md"), re.MULTILINE)

    assert [int(count) * seconds[unit] for count, unit in rows] == list(RETRY_DELAYS_S[1:])


@pytest.mark.parametrize("event_type", sorted(KINDS))
def test_example_events_have_the_shape_that_is_sent(event_type: str) -> None:
    """A receiver written from the example reads the real thing."""
    block = re.search(
        rf"<!-- event:(?: [\w.]+)*? {event_type}(?: [\w.]+)* -->\n```json\n(.*?)```",
        read("docs/webhooks.md"),
        re.DOTALL,
    )
    assert block is not None
    example = json.loads(block[1])

    data = example["data"]
    captured = {name: data[name] for name in ("url", "referrer", "fields") if data.get(name)}
    entry = {
        "t": example["type"],
        "p": data.get("pool_id", ""),
        "n": data.get("number", ""),
        "v": data.get("visitor_id", ""),
        "d": data.get("destination", ""),
        "f": (data.get("lease_id") or "").rpartition("_")[2],
        "w": milliseconds(example["timestamp"]),
        "r": data.get("reason", ""),
        "x": json.dumps(captured),
    }
    if {"call_id", "decision_id"} & data.keys():
        entry["j"] = json.dumps(data)
    else:
        known = {
            "event_id", "pool_id", "number", "visitor_id", "destination", "lease_id", "reason",
            "url", "referrer", "fields", "started_at", "ended_at",
        }  # fmt: skip
        entry |= {name: value for name, value in data.items() if name not in known}
    if "started_at" in data and "call_id" not in data:
        entry["s"] = milliseconds(data["started_at"])
    shard, _, entry_id = data["event_id"].removeprefix("evt_s").partition("_")
    sent: Event = from_entry(int(shard), entry_id, entry)

    assert sent.payload() == example


def milliseconds(text: str) -> str:
    """An instant of an example as the outbox keeps it."""
    return str(round(datetime.fromisoformat(text).timestamp() * 1000))


def test_the_receiver_in_the_webhook_guide_knows_our_signature() -> None:
    """The check by hand takes what we sign, and nothing that was changed on the way."""
    blocks = re.findall(r"```python\n(.*?)```", read("docs/webhooks.md"), re.DOTALL)
    (by_hand,) = [block for block in blocks if "def is_ours" in block]
    program = f"""{by_hand}
import json, sys
given = json.load(sys.stdin)
time.time = lambda: given["now"]
body = given["body"].encode()
print(is_ours(given["secret"], given["headers"], body),
      is_ours(given["secret"], given["headers"], body + b" "),
      is_ours(given["secret"], {{**given["headers"], "webhook-id": "another"}}, body))
time.time = lambda: given["now"] + 301
print(is_ours(given["secret"], given["headers"], body))
"""
    secret, body = new_secret(bytes(32)), '{"type":"number.assigned"}'
    headers = {
        "webhook-id": "evt_s0_1-0",
        "webhook-timestamp": "1795423107",
        "webhook-signature": "v1,bm90IG91cnM= "
        + sign([secret], message_id="evt_s0_1-0", timestamp_s=1795423107, body=body.encode()),
    }

    printed = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"secret": secret, "headers": headers, "body": body, "now": 1795423107}),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.split() == ["True", "False", "False", "False"]


def test_the_code_map_names_what_is_there() -> None:
    """Each path of the map exists, and no room or module is missing from it."""
    text = read("docs/architecture.md")
    code_map = text[text.index("| file | role |") : text.index("## Where to add")]
    named = re.findall(r"`([\w/]+(?:\.py|/))`", code_map)

    folders = [PACKAGE / name for name in named if name.endswith("/")]
    modules = {
        path
        for path in PACKAGE.rglob("*.py")
        if not path.name.startswith("__") and not any(room in path.parents for room in folders)
    }
    assert [name for name in named if not (PACKAGE / name).exists()] == []
    assert {str(path.relative_to(PACKAGE)) for path in modules} - set(named) == set()


def test_the_changelog_has_the_present_version() -> None:
    """What an operator is about to install is described."""
    versions = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)

    assert versions[0] in {__version__, "Unreleased"}
    assert __version__ in versions


def test_every_decision_is_in_the_index_and_has_its_parts() -> None:
    """A decision nobody finds is made again."""
    folder = ROOT / "docs" / "adr"
    decisions = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    index = (folder / "README.md").read_text("utf-8")

    # Gaps are fine: decisions that are written at the same time take numbers apart.
    numbers = [int(path.name[:4]) for path in decisions]
    assert sorted(set(numbers)) == numbers
    for path in decisions:
        text = path.read_text("utf-8")
        assert f"]({path.name})" in index, path.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == [
            "Context", "Decision", "Consequences", "Alternatives",
        ], path.name  # fmt: skip
