"""Secrets are kept apart by project, for the hall's own user alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhall.adapters.secrets.folder import LARGEST_BYTES, FolderSecrets
from modelhall.core import sealing
from modelhall.core.errors import Rejected
from modelhall.core.sealing import KeySet


def key_set(project: str, *keys: bytes) -> KeySet:
    by_id = {sealing.id_of(key): key for key in keys}
    return KeySet(of=f"project {project}", newest=list(by_id)[-1], keys=by_id)


def keys_of(project: str) -> KeySet:
    return key_set(project, project.encode().ljust(32))


@pytest.fixture(params=[None, keys_of], ids=["plain", "sealed"])
def secrets(request: pytest.FixtureRequest, tmp_path: Path) -> FolderSecrets:
    return FolderSecrets(tmp_path / "secrets", request.param)


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
    there = [path for path in (tmp_path / "secrets").rglob("*") if path.name != ".lock"]
    modes = {path.stem: path.stat().st_mode & 0o777 for path in there}
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


# Sealed.


def test_a_sealed_value_is_not_to_be_seen_where_it_lies(tmp_path: Path) -> None:
    for keys, is_seen in ((keys_of, False), (None, True)):
        FolderSecrets(tmp_path / str(is_seen), keys).put("p", "key", b"canary-value")
        written = b"".join(
            path.read_bytes() for path in (tmp_path / str(is_seen)).rglob("*") if path.is_file()
        )
        assert (b"canary" in written) == is_seen


def test_a_value_that_was_changed_moved_or_cut_off_is_not_handed_out(tmp_path: Path) -> None:
    secrets = FolderSecrets(tmp_path, keys_of)
    secrets.put("p", "key", b"value")
    secrets.put("p", "other", b"other value")
    path, other = tmp_path / "p" / "key.sealed", tmp_path / "p" / "other.sealed"
    whole = path.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for wrong in (*flipped, whole[:-1], whole[:80], b"", whole + b"\0", other.read_bytes()):
        path.write_bytes(wrong)
        with pytest.raises(Rejected, match="set it again"):
            secrets.get("p", "key")
    secrets.put("p", "key", b"again")
    assert secrets.get("p", "key") == b"again"


def test_a_secret_whose_key_was_deleted_has_to_be_set_again(tmp_path: Path) -> None:
    FolderSecrets(tmp_path, keys_of).put("p", "key", b"value")
    later = FolderSecrets(tmp_path, lambda project: key_set(project, b"new".ljust(32)))
    with pytest.raises(Rejected, match="was deleted, or belongs to another hall; set it again"):
        later.get("p", "key")
    with pytest.raises(Rejected, match="no keys"):
        FolderSecrets(tmp_path).get("p", "key")
    assert later.names("p") == ["key"]


def test_a_new_key_opens_all_secrets_once_they_were_wrapped_by_it(tmp_path: Path) -> None:
    old, new = b"old".ljust(32), b"new".ljust(32)
    first = FolderSecrets(tmp_path, lambda project: key_set(project, old))
    first.put("p", "one", b"1")
    first.put("p", "two", b"2")
    both = FolderSecrets(tmp_path, lambda project: key_set(project, old, new))
    assert (both.rewrap("p"), both.rewrap("p"), both.rewrap("nobody")) == (2, 0, 0)
    later = FolderSecrets(tmp_path, lambda project: key_set(project, new))
    assert (later.get("p", "one"), later.get("p", "two")) == (b"1", b"2")


def test_a_plain_secret_of_an_earlier_hall_is_read_and_sealed_when_it_is_set_again(tmp_path: Path) -> None:
    FolderSecrets(tmp_path).put("p", "key", b"canary")
    secrets = FolderSecrets(tmp_path, keys_of)
    assert (secrets.get("p", "key"), secrets.names("p")) == (b"canary", ["key"])
    secrets.put("p", "key", b"canary")
    assert secrets.names("p") == ["key"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    assert secrets.delete("p", "key")
    assert (secrets.get("p", "key"), secrets.names("p")) == (None, [])
