"""The keys of a hall's signatures: made once, kept from others, told apart by what they are."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhall.core import digest
from modelhall.core.errors import Rejected
from modelhall.trust.signing import KeyFolder


def test_a_key_is_made_when_it_is_first_asked_for_and_is_the_same_ever_after(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = KeyFolder(folder)
    assert keys.trusted() == {}
    assert not folder.exists()
    id, pem = keys.current()
    assert ((id, pem), keys.private()) == (KeyFolder(folder).current(), KeyFolder(folder).private())
    assert keys.trusted() == {id: pem} == {id: (folder / "signing.pub").read_text()}
    assert id == digest.of_bytes((folder / "signing.pub").read_bytes())


def test_only_the_owner_can_read_the_private_key(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    assert "PRIVATE KEY" in keys.private()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "signing.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys" / "signing.pem").chmod(0o640)
    with pytest.raises(Rejected, match="can be read by others"):
        keys.private()


def test_of_several_that_make_the_key_at_once_all_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: KeyFolder(tmp_path / "keys").current().id, range(32)))
    assert len(ids) == 1


def test_the_public_key_that_was_lost_is_made_again_from_the_private_one(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    before = keys.current().id
    (tmp_path / "keys" / "signing.pub").unlink()
    assert (keys.current().id, list(keys.trusted())) == (before, [before])


def test_an_earlier_key_counts_for_as_long_as_its_public_key_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = KeyFolder(folder)
    first = keys.current().id
    (folder / "signing.pub").rename(folder / "signing-2025.pub")
    (folder / "signing.pem").unlink()
    second = keys.current().id
    assert second != first
    assert set(keys.trusted()) == {first, second}
    (folder / "signing-2025.pub").unlink()
    assert set(keys.trusted()) == {second}


def test_a_hall_that_has_its_key_starts_without_the_library_that_makes_keys(tmp_path: Path) -> None:
    KeyFolder(tmp_path / "keys").current()
    program = (
        "import sys; from pathlib import Path; from modelhall.trust.signing import KeyFolder;"
        f"keys = KeyFolder(Path({str(tmp_path / 'keys')!r})); keys.current().pem;"
        "sys.exit('cryptography' in sys.modules or 'model_signing' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
