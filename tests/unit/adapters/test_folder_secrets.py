"""Secrets are kept apart by project, for the hall's own user alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhall.adapters.secrets.folder import LARGEST_BYTES, FolderSecrets
from modelhall.core.errors import Rejected


@pytest.fixture
def secrets(tmp_path: Path) -> FolderSecrets:
    return FolderSecrets(tmp_path / "secrets")


def test_a_secret_is_there_until_it_is_deleted_and_the_newest_value_counts(secrets: FolderSecrets) -> None:
    assert secrets.get("p", "key") is None
    secrets.put("p", "key", b"one")
    secrets.put("p", "key", b"two\n")
    secrets.put("p", "empty", b"")
    assert (secrets.get("p", "key"), secrets.get("p", "empty")) == (b"two\n", b"")
    assert secrets.names("p") == ["empty", "key"]
    assert (secrets.delete("p", "key"), secrets.delete("p", "key")) == (True, False)
    assert secrets.get("p", "key") is None


def test_projects_see_nothing_of_each_other(secrets: FolderSecrets) -> None:
    secrets.put("one", "key", b"1")
    assert secrets.get("other", "key") is None
    assert secrets.names("other") == []


def test_only_the_halls_user_can_read_them(secrets: FolderSecrets, tmp_path: Path) -> None:
    secrets.put("p", "key", b"x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").rglob("*")}
    assert modes == {"p": 0o700, "key": 0o600}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_what_a_crash_left_half_written_is_no_secret(secrets: FolderSecrets, tmp_path: Path) -> None:
    secrets.put("p", "key", b"x")
    (tmp_path / "secrets" / "p" / ".key.0a1b").write_bytes(b"ha")
    assert secrets.names("p") == ["key"]


@pytest.mark.parametrize("name", ["", ".", "..", "../key", "a/b", "A", "a\0", ".key.0a1b", "-a"])
def test_a_name_never_leads_elsewhere(secrets: FolderSecrets, name: str) -> None:
    for project, key in ((name, "key"), ("p", name)):
        for call in (secrets.get, secrets.delete):
            with pytest.raises(Rejected):
                call(project, key)
        with pytest.raises(Rejected):
            secrets.put(project, key, b"x")
    with pytest.raises(Rejected):
        secrets.names(name)


@pytest.mark.parametrize("value", [b"\xff", b"x" * (LARGEST_BYTES + 1)], ids=["no text", "too large"])
def test_a_value_no_program_could_be_handed_is_refused(secrets: FolderSecrets, value: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        secrets.put("p", "key", value)
    assert refused.value.field == "value"
    assert secrets.names("p") == []
