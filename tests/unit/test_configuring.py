"""Settings: secrets from files, names that are mistyped, what is shown of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from dni_allocator.cli.configuring import settings_table
from dni_allocator.domain.errors import ConfigurationError
from dni_allocator.settings import Settings, unknown_variables, variable_of

ROOT = Path(__file__).parents[2]
SECRET = "sk_of_a_test_0123456789"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the shell that runs the tests."""
    for name in [name for name in os.environ if name.startswith("DNI_")]:
        monkeypatch.delenv(name)


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As images of Docker take them; the line end of an editor is no part of it."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("DNI_ADMIN_KEY_FILE", str(file))

    key = Settings().admin_key

    assert key is not None
    assert key.get_secret_value() == SECRET


def test_secrets_may_lie_in_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Docker and Kubernetes mount them; the environment wins."""
    (tmp_path / "dni_admin_key").write_text(SECRET)
    (tmp_path / "DNI_PORT").write_text("9000")
    monkeypatch.setenv("DNI_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("DNI_PORT", "9001")

    settings = Settings()

    assert settings.admin_key == SecretStr(SECRET)
    assert settings.port == 9001


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DNI_ADMIN_KEY_FILE": "/nowhere/key"}, "cannot be read"),
        ({"DNI_ADMIN_KEY": SECRET, "DNI_ADMIN_KEY_FILE": "/nowhere/key"}, "both set"),
        ({"DNI_SECRETS_DIR": "/nowhere/secrets"}, "no such directory"),
    ],
)
def test_a_file_that_is_not_there_is_no_missing_secret(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    """A start without the key it was given would make one of its own and print it."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=said) as refused:
        Settings()

    assert SECRET not in refused.value.detail


def test_no_secret_has_a_default() -> None:
    """Neither in the settings nor in the compose file."""
    secrets = [
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]
    compose = (ROOT / "compose.yaml").read_text("utf-8")

    assert "admin_key" in secrets
    for name in secrets:
        assert Settings.model_fields[name].default is None
        for value in re.findall(rf"{variable_of(name)}: (.*)", compose):
            assert value.startswith(f"${{{variable_of(name)}:?")


def test_a_mistyped_variable_is_named() -> None:
    """With the one that was meant; those of others are not complained about."""
    environment = {
        "DNI_SHARD": "4", "DNI_ADMIN_KEY_FILE": "x", "DNI_SINK_PORT": "1", "PATH": "", "DNI_Q": "",
    }  # fmt: skip

    assert unknown_variables(environment) == {"DNI_Q": None, "DNI_SHARD": "DNI_SHARDS"}


def test_every_variable_that_is_read_is_known() -> None:
    """What the code, the image or compose.yaml take from the environment is no unknown."""
    texts = [path.read_text("utf-8") for path in (ROOT / "src" / "dni_allocator").rglob("cli/*.py")]
    texts += [(ROOT / name).read_text("utf-8") for name in ("compose.yaml", "Dockerfile")]
    named = {name for text in texts for name in re.findall(r"\bDNI_[A-Z][A-Z_]*[A-Z]\b", text)}

    assert "DNI_ADMIN_KEY" in named
    assert unknown_variables(dict.fromkeys(named, "")) == {}


def test_the_table_in_the_documents_is_generated() -> None:
    """`make openapi` writes it; nobody keeps it by hand."""
    assert settings_table() in (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert all(field.description for field in Settings.model_fields.values())


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command, with nothing but these variables."""
    return subprocess.run(
        [sys.executable, "-m", "dni_allocator", "config", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_show_tells_values_and_sources_but_no_secret(tmp_path: Path) -> None:
    """What one pastes into a question must not cost a key."""
    file = tmp_path / "url"
    file.write_text("rediss://user:hunter2@redis.example:6380/0")

    shown = run("show", DNI_ADMIN_KEY=SECRET, DNI_REDIS_URL_FILE=str(file), DNI_SHARD="4")

    assert shown.returncode == 0
    assert "rediss://***@redis.example:6380/0  [file]" in shown.stdout
    assert re.search(r"DNI_ADMIN_KEY +\(set, not shown\)  \[environment\]", shown.stdout)
    assert re.search(r"DNI_PORT +8000  \[default\]", shown.stdout)
    assert "DNI_SHARD is no setting" in shown.stderr
    assert SECRET not in shown.stdout + shown.stderr
    assert "hunter2" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DNI_PORT", "many"),
        ("DNI_ADMIN_KEY", "short"),
        ("DNI_CALLER_KEY", "short"),
        ("DNI_WEBHOOK_ALLOW", "10.0.0.0/99"),
        ("DNI_REDIS_URL", "http://redis.example"),
    ],
)
def test_check_says_what_a_start_would(variable: str, value: str) -> None:
    """Before anything is restarted, and without reaching anything."""
    checked = run("check", **{variable: value})

    assert checked.returncode == 2
    assert variable in checked.stderr
    assert value not in checked.stderr or not variable.endswith("_KEY")


def test_check_is_content_with_good_settings() -> None:
    """Status 0, one sentence."""
    checked = run("check", DNI_ADMIN_KEY=SECRET)

    assert (checked.returncode, checked.stdout) == (0, "The settings are fine.\n")
