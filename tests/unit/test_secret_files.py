"""Secrets from files, as orchestrators mount them."""

from pathlib import Path

import pytest

from dni_allocator.settings import Settings


def test_a_secret_comes_from_a_file_unless_the_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file for each, named as its variable; the end of its line does not count."""
    (tmp_path / "DNI_TELNYX_API_KEY").write_text("of a file\n")
    (tmp_path / "DNI_TWILIO_AUTH_TOKEN").write_text("of a file")
    monkeypatch.setenv("DNI_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("DNI_TWILIO_AUTH_TOKEN", "of the environment")

    settings = Settings()

    assert settings.telnyx_api_key is not None
    assert settings.telnyx_api_key.get_secret_value() == "of a file"
    assert settings.twilio_auth_token is not None
    assert settings.twilio_auth_token.get_secret_value() == "of the environment"
    assert "of a file" not in repr(settings)
