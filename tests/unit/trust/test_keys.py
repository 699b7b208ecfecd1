"""Projects have keys of their own, wrapped by a root key; what is deleted is gone, and no crash loses any."""

from __future__ import annotations

import multiprocessing
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhall.core import failpoints
from modelhall.core.errors import Broken, NotFound, NotNow, Rejected
from modelhall.core.sealing import KeySet
from modelhall.trust.keys import KeyRing

OLD, NEW = bytes(range(32)).hex(), bytes(range(1, 33)).hex()


def ring(folder: Path, **how: object) -> KeyRing:
    return KeyRing(folder, now=lambda: 7.0, **how)  # type: ignore[arg-type]


def keys_of(folder: Path, project: str, **how: object) -> KeySet:
    found = ring(folder, **how).keys_of(project)
    assert found is not None
    return found


def a_file(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


def test_a_project_has_a_key_of_its_own_from_when_it_is_first_asked_for(tmp_path: Path) -> None:
    one = ring(tmp_path / "keys")
    assert one.show().projects == {}
    found, other = one.keys_of("p"), one.keys_of("q")
    assert found is not None
    assert other is not None
    assert not found.keys.items() & other.keys.items()
    assert [key.id for key in one.show().projects["p"]] == [found.newest]
    assert one.keys_of("p") == keys_of(tmp_path / "keys", "p") == found
    assert one.keys_of("r", make=False) is None


def test_only_the_halls_user_can_read_the_keys_and_the_projects_are_wrapped(tmp_path: Path) -> None:
    found = keys_of(tmp_path / "keys", "p")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").iterdir():
        if path.suffix != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        held = path.read_bytes()
        assert not [key for key in found.keys.values() if key in held or key.hex().encode() in held], path


def test_a_new_generation_seals_and_the_older_ones_open_until_they_are_retired(tmp_path: Path) -> None:
    one = ring(tmp_path)
    first = one.keys_of("p")
    assert first is not None
    assert one.add("p") != first.newest
    both = keys_of(tmp_path, "p")
    assert both.newest != first.newest
    assert first.keys.items() < both.keys.items()
    assert one.retire("p") == 1
    assert keys_of(tmp_path, "p").keys.keys() == {both.newest}


def test_a_deleted_key_is_gone_at_once_for_every_process_and_the_next_one_is_another(tmp_path: Path) -> None:
    one, other = ring(tmp_path), ring(tmp_path)
    before, kept = other.keys_of("p"), other.keys_of("q")
    assert before is not None
    one.add("p")
    assert one.delete("p") == 2
    assert other.keys_of("p", make=False) is None
    after = other.keys_of("p")
    assert after is not None
    assert not before.keys.keys() & after.keys.keys()
    assert other.keys_of("q") == kept
    for ask in (one.add, one.retire, one.delete):
        with pytest.raises(NotFound, match="'nobody' has no key"):
            ask("nobody")


def test_a_new_root_key_wraps_all_keys_and_the_one_before_is_of_no_use(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    one, other = ring(folder), ring(folder)
    before = {project: one.keys_of(project) for project in ("p", "q")}
    old = (folder / "root.key").read_bytes()
    id = one.rotate_root()
    assert one.show().root == id
    assert (folder / "root.key").read_bytes() != old
    for found in (one, other, ring(folder)):
        assert {project: found.keys_of(project) for project in ("p", "q")} == before
    (folder / "root.key").write_bytes(old)
    with pytest.raises(Rejected, match=f"wrapped by root key {id}"):
        ring(folder)


def test_a_lost_root_key_is_told_of_and_never_replaced(tmp_path: Path) -> None:
    keys_of(tmp_path, "p")
    root, id = (tmp_path / "root.key").read_bytes(), ring(tmp_path).show().root
    (tmp_path / "root.key").unlink()
    for seals in (True, False):
        with pytest.raises(
            Rejected, match=f"root key {id}, and .*root.key is not there; put it back"
        ) as caught:
            ring(tmp_path, seals=seals)
        assert caught.value.field == "root_key"
    assert not (tmp_path / "root.key").exists()
    a_file(tmp_path / "root.key", root.decode())
    keys_of(tmp_path, "p")


def test_a_damaged_file_of_keys_is_told_of_and_never_replaced(tmp_path: Path) -> None:
    keys_of(tmp_path, "p")
    (tmp_path / "projects.json").write_text("{}")
    with pytest.raises(Broken, match="restore it from a backup"):
        ring(tmp_path)
    assert (tmp_path / "projects.json").read_text() == "{}"


def test_a_root_key_from_elsewhere_is_used_and_changed_at_a_start(tmp_path: Path) -> None:
    folder, old, new = tmp_path / "keys", a_file(tmp_path / "old", OLD), a_file(tmp_path / "new", NEW)
    before = keys_of(folder, "p", source=old)
    assert not (folder / "root.key").exists()
    with pytest.raises(Rejected, match="root_key_before"):
        ring(folder, source=old).rotate_root()
    with pytest.raises(Rejected, match="give the right one"):
        ring(folder, source=new)
    with pytest.raises(Rejected, match="give the right one"):
        ring(folder, source=new, before=new)
    for _ in range(2):
        assert keys_of(folder, "p", source=new, before=old) == before
    assert keys_of(folder, "p", source=new) == before
    with pytest.raises(Rejected):
        ring(folder, source=old)


def test_the_root_key_of_the_home_can_be_moved_elsewhere(tmp_path: Path) -> None:
    folder, new = tmp_path / "keys", a_file(tmp_path / "new", NEW)
    before = keys_of(folder, "p")
    assert keys_of(folder, "p", source=new, before=f"file:{folder}/root.key") == before


def test_a_hall_that_does_not_seal_makes_no_keys_and_opens_with_those_it_has(tmp_path: Path) -> None:
    none = ring(tmp_path / "none", seals=False)
    assert (none.keys_of("p"), none.show().projects) == (None, {})
    with none.standing(changing=True), pytest.raises(NotFound):
        none.delete("p")
    assert not (tmp_path / "none").exists()
    before = keys_of(tmp_path / "keys", "p")
    after = keys_of(tmp_path / "keys", "p", seals=False)
    assert (after.newest, after.keys) == (None, before.keys)
    assert ring(tmp_path / "keys", seals=False).keys_of("q") is None


def test_no_key_goes_while_somebody_needs_them_to_stay(tmp_path: Path) -> None:
    one, other = ring(tmp_path), ring(tmp_path)
    with one.standing(), other.standing():
        with pytest.raises(NotNow, match="backup"), other.standing(changing=True):
            pass
        assert other.keys_of("new") is not None, "one may come"
    with one.standing(changing=True), pytest.raises(NotNow), other.standing():
        pass


# Killed.


def rotate_root(one: KeyRing) -> None:
    one.rotate_root()


@pytest.mark.parametrize("moment", ["keys.root-written", "keys.root-wrapped", "keys.root-replaced"])
def test_a_rotation_of_the_root_killed_at_any_step_loses_no_key(tmp_path: Path, moment: str) -> None:
    before = keys_of(tmp_path, "p")
    assert killed(tmp_path, rotate_root, moment) == -signal.SIGKILL
    one = ring(tmp_path)
    assert one.keys_of("p") == before
    assert not (tmp_path / "root.next").exists()
    one.rotate_root()
    assert keys_of(tmp_path, "p") == before


def test_a_ring_that_was_open_before_a_killed_rotation_goes_on(tmp_path: Path) -> None:
    one = ring(tmp_path)
    before = one.keys_of("p")
    assert killed(tmp_path, rotate_root, "keys.root-wrapped") == -signal.SIGKILL
    assert one.keys_of("p") == before
    assert not (tmp_path / "root.next").exists()


def killed(folder: Path, work: Callable[[KeyRing], None], moment: str) -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(folder, work, moment))
    process.start()
    process.join(60)
    return process.exitcode


def _work(folder: Path, work: Callable[[KeyRing], None], moment: str) -> None:
    failpoints.arm(moment)
    work(ring(folder))
