"""Keys are rotated and deleted without a content being written again, and killed anywhere nothing is lost."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest

from modelhall.app.keys import Keys
from modelhall.core import failpoints
from modelhall.core.errors import Broken, NotFound, NotNow, Rejected
from modelhall.settings import Settings

SECRET = b"open sesame"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def digest(settings: Settings, tmp_path: Path) -> str:
    """An artifact of project p, which has a secret as well."""
    (settings.home / "blobs").mkdir(parents=True)
    (tmp_path / "made").mkdir()
    for number in range(3):
        (tmp_path / "made" / str(number)).write_bytes(b"%d" % number * 1000)
    keys = the(settings)
    keys.secrets.put("p", "word", SECRET)
    return keys.blobs("p").put_folder(tmp_path / "made")


def the(settings: Settings) -> Keys:
    return Keys(settings, lambda: 7.0)


def sees_all(keys: Keys, digest: str) -> None:
    blobs = keys.blobs("p")
    for name in (digest, *blobs.files_of(digest)):
        blobs.verify(name)
    assert keys.secrets.get("p", "word") == SECRET


def contents(settings: Settings) -> dict[str, tuple[int, bytes]]:
    """Every sealed content: its file, and what is in it."""
    found = (settings.home / "blobs").rglob("*.sealed")
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in found}


def test_a_project_gets_a_new_key_and_no_content_is_written(settings: Settings, digest: str) -> None:
    keys = the(settings)
    before, (old,) = contents(settings), keys.show().keys
    done = keys.renew("p")
    assert done.rewrapped == len(before) + 1
    assert [(key.id, key.newest) for key in keys.show().keys] == [(old.id, False), (done.id, True)]
    assert keys.retire("p") == 1
    assert [key.id for key in keys.show().keys] == [done.id]
    sees_all(the(settings), digest)
    assert contents(settings) == before


def test_what_was_sealed_with_the_older_key_meanwhile_is_wrapped_before_that_one_goes(
    settings: Settings, digest: str, tmp_path: Path
) -> None:
    keys = the(settings)
    at_work = keys.blobs("p")
    keys.renew("p")
    (tmp_path / "made/late").write_bytes(b"late")
    late = at_work.put_folder(tmp_path / "made")
    sees_all(keys, late)
    keys.retire("p")
    sees_all(keys, late)


def test_a_project_whose_keys_are_deleted_is_unreadable_and_others_are_not(
    settings: Settings, digest: str
) -> None:
    keys = the(settings)
    keys.secrets.put("q", "word", b"of q")
    keys.renew("p")
    assert keys.delete("p").keys == 2
    for again in (keys, the(settings)):
        with pytest.raises(Broken):
            again.blobs("p").verify(digest)
        with pytest.raises(Rejected, match="set it again"):
            again.secrets.get("p", "word")
        assert again.secrets.get("q", "word") == b"of q"
    with pytest.raises(NotFound):
        keys.delete("nobody")


def test_nothing_shown_of_the_keys_is_a_key(settings: Settings, digest: str) -> None:
    keys = the(settings)
    held = keys.ring.keys_of("p")
    assert held is not None
    shown = keys.show().model_dump_json()
    root = (settings.home / "keys/root.key").read_text().strip()
    assert not [key for key in (root, *(key.hex() for key in held.keys.values())) if key in shown]


def test_a_rotation_waits_for_no_backup_and_is_refused_as_long(settings: Settings, digest: str) -> None:
    keys, other = the(settings), the(settings)
    keys.renew("p")
    with other.ring.standing():
        for change in (keys.rotate_root, lambda: keys.renew("p"), lambda: keys.delete("p")):
            with pytest.raises(NotNow):
                change()
        assert keys.retire("p") == 0
    assert keys.retire("p") == 1


@pytest.mark.parametrize(
    "moment",
    [
        "keys.generation-added",
        "blobs.key-rewrapped",
        "blobs.key-rewrapped:3",
        "keys.blobs-rewrapped",
        "keys.secrets-rewrapped",
        "keys.retired",
    ],
)
def test_a_rotation_killed_at_any_step_leaves_all_readable_and_is_finished_by_the_next(
    settings: Settings, digest: str, moment: str
) -> None:
    before = contents(settings)
    assert killed(settings, "rotate", moment) == -signal.SIGKILL
    sees_all(the(settings), digest)
    keys = the(settings)
    keys.renew("p")
    keys.retire("p")
    assert len(keys.show().keys) == 1
    sees_all(the(settings), digest)
    assert contents(settings) == before


def test_a_deletion_killed_right_after_it_is_a_deletion(settings: Settings, digest: str) -> None:
    assert killed(settings, "delete", "keys.deleted") == -signal.SIGKILL
    with pytest.raises(Broken):
        the(settings).blobs("p").verify(digest)


def test_a_writer_killed_between_key_and_content_leaves_what_the_next_one_uses(
    settings: Settings, digest: str, tmp_path: Path
) -> None:
    (tmp_path / "made/more").write_bytes(b"more")
    assert killed(settings, "put", "blobs.key-written") == -signal.SIGKILL
    assert len(list((settings.home / "blobs").rglob("*.key"))) == len(contents(settings)) + 1
    sees_all(the(settings), the(settings).blobs("p").put_folder(tmp_path / "made"))
    assert len(list((settings.home / "blobs").rglob("*.key"))) == len(contents(settings))


def killed(settings: Settings, work: str, moment: str) -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(settings, work, moment))
    process.start()
    process.join(60)
    return process.exitcode


def _work(settings: Settings, work: str, moment: str) -> None:
    failpoints.arm(moment)
    keys = the(settings)
    if work == "rotate":
        keys.renew("p")
        keys.retire("p")
    elif work == "delete":
        keys.delete("p")
    else:
        keys.blobs("p").put_folder(settings.home.parent / "made")
