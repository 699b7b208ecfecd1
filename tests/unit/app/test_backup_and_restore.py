"""A hall goes into a file and comes out of it; what is no such file does not come in."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_home import AT, PAID, PASSWORD, SECRET, TOKEN, USED, SmallHome, new, small_home

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.book.sqlite import SqliteBook, open_book
from modelhall.adapters.store import open_store
from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.app.keep import resources
from modelhall.app.keep.archive import FORMAT
from modelhall.app.keep.backup import Backup, back_up
from modelhall.app.keep.restore import Restored, restore
from modelhall.app.keys import Keys
from modelhall.core.errors import Full, Gone, NotNow, Rejected
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Model
from modelhall.core.ports.store import Delete, Put, Store
from modelhall.core.ports.treasury import Pot
from modelhall.settings import Settings

NEW_AT = AT + 1000


@pytest.fixture
def small(tmp_path: Path) -> SmallHome:
    made = asyncio.run(small_home(tmp_path / "old"))
    # As if the store in hall.toml had been this file all along.
    return made


def backed_up(small: SmallHome, file: Path, *, force: bool = False) -> Backup:
    return asyncio.run(back_up(small.settings, file, now=lambda: NEW_AT, force=force))


def restored(file: Path, home: Path, **settings: str) -> Restored:
    return asyncio.run(restore(Settings(home=home, **settings), file))


async def everything(store: Store) -> list[AnyResource]:
    return [resource for kind in KINDS for resource in await store.find(kind)]


def in_store(url: str, ask: Callable[[Store], Awaitable[object]]) -> object:
    async def asking() -> object:
        store = open_store(url)
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(asking())


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_a_restored_hall_has_the_same_resources_events_ledger_and_usage(
    small: SmallHome, tmp_path: Path, name: str
) -> None:
    done = backed_up(small, tmp_path / name)
    assert (done.damaged, done.left_out) == ((), ())
    home = tmp_path / "new"
    assert restored(tmp_path / name, home).resources == done.resources

    old = in_store(small.settings.store_url, everything)
    found = in_store(f"sqlite://{home}/hall.db", everything)
    blank = {"revision": 0}
    assert [one.model_copy(update=blank) for one in without_addresses(found)] == [
        one.model_copy(update=blank) for one in without_addresses(old)
    ]
    events = in_store(f"sqlite://{home}/hall.db", lambda store: store.events())
    assert [event.message for event in events] == ["well done"]

    async def booked() -> tuple[object, object]:
        book = open_book(home)
        said = await book.entries(PAID.debit), await book.usage("r1")
        await book.close()
        return said

    assert asyncio.run(booked()) == ([PAID], USED)
    journal = (home / "usage/usage-00000000000000001.jsonl").read_text()
    assert journal == json.dumps(vars(USED)) + "\n", "whole lines only"
    assert (home / "hall.toml").read_text() == "# what electricity costs here\nprice_per_kwh = 0.25\n"
    for artifact in (small.data, small.model):
        assert (home / small.blob(artifact).relative_to(small.home)).read_bytes() == small.blob(
            artifact
        ).read_bytes()
    assert home.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "new", "old"]), (
        "nothing is left over"
    )


def test_what_is_used_of_budgets_is_used_in_the_restored_hall_too(small: SmallHome, tmp_path: Path) -> None:
    month = Pot(name="month", amount=100)

    async def draw(home: Path, want: int) -> int:
        treasury = open_treasury(home)
        drawn = await treasury.draw("gateway", month, want, NEW_AT)
        await treasury.close()
        return drawn.granted

    assert asyncio.run(draw(small.home, 70)) == 70
    backed_up(small, tmp_path / "b.tar")
    restored(tmp_path / "b.tar", tmp_path / "new")
    assert asyncio.run(draw(tmp_path / "new", 70)) == 30


def without_addresses(found: list[AnyResource]) -> list[AnyResource]:
    return [one.with_status(address=None) if one.key.kind == "run" else one for one in found]


def test_addresses_are_not_restored_since_others_may_listen_there_by_now(
    small: SmallHome, tmp_path: Path
) -> None:
    backed_up(small, tmp_path / "b.tar")
    restored(tmp_path / "b.tar", tmp_path / "new")
    runs = in_store(f"sqlite://{tmp_path}/new/hall.db", lambda store: store.find("run"))
    assert {run.status.address for run in runs} == {None}


def test_who_followed_the_old_store_is_told_to_read_anew(small: SmallHome, tmp_path: Path) -> None:
    done = backed_up(small, tmp_path / "b.tar")
    restored(tmp_path / "b.tar", tmp_path / "new")
    for revision in (1, done.revision, done.revision + 1000):
        with pytest.raises(Gone):
            in_store(f"sqlite://{tmp_path}/new/hall.db", lambda store: store.changes(revision))  # noqa: B023


def test_a_backup_has_no_token_no_secret_no_password_and_nothing_of_a_process(
    small: SmallHome, tmp_path: Path
) -> None:
    backed_up(small, tmp_path / "b.tar")
    held = (tmp_path / "b.tar").read_bytes()
    root = (small.home / "keys/root.key").read_text().strip()
    assert not [word for word in (SECRET, TOKEN, PASSWORD, root) if word.encode() in held]
    assert bytes.fromhex(root) not in held
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    of_runs = {name for name in members(tmp_path / "b.tar") if name.startswith("runs/")}
    assert of_runs == {
        *(f"runs/{uid}/{rest}" for uid in ("train-uid", "replica-uid") for rest in ("state/step-1.json", "1/log/00")),
        "runs/train-uid/1/exit.json", "runs/train-uid/1/result.json", "runs/replica-uid/1/exit.json",
    }  # fmt: skip


def test_an_attempt_at_work_ends_with_the_backup_and_one_that_was_over_stays_so(
    small: SmallHome, tmp_path: Path
) -> None:
    backed_up(small, tmp_path / "b.tar")
    held = members(tmp_path / "b.tar")
    assert json.loads(held["runs/replica-uid/1/exit.json"]) == {"stopped": True, "ended_at": NEW_AT}
    assert json.loads(held["runs/train-uid/1/exit.json"])["code"] == 0


def test_a_store_that_is_written_to_meanwhile_is_copied_as_it_was_at_one_revision(tmp_path: Path) -> None:
    """Whoever is in the copy finds there what it was made for: models are added after their data, and removed
    before it, while the copy is made page by page."""

    class Busy(MemoryStore):
        number = 0
        last: list[AnyResource] = []  # noqa: RUF012

        async def find(self, kind: str, *args: object, **more: object) -> list[AnyResource]:  # type: ignore[override]
            found = await super().find(kind, *args, **more)  # type: ignore[arg-type]
            await self._change()
            return found

        async def _change(self) -> None:
            self.number += 1
            if self.number > 40:
                return
            for one in reversed(self.last[:2]):
                await self.commit([Delete(key=one.key, revision=one.revision)])
            data, model = f"a-{self.number}", f"m-{self.number}"
            added = [new(Dataset(name=data, source="x"), data)]
            added += [new(Model(name=model, task="t", data=data, network={"family": "f"}), model)]
            self.last = self.last[2:] + [(await self.commit([Put(resource=one)]))[0] for one in added]

    async def story() -> None:
        store = Busy()
        await store.commit(
            [Put(resource=new(Dataset(name=f"b-{n}", source="x"), f"b-{n}")) for n in range(1200)]
        )
        cut = await resources.write(store, tmp_path / "r.jsonl")
        assert cut.revision == await store.revision()
        store.number = 40  # the copy is made
        other = MemoryStore()
        counts = await resources.read(other, tmp_path / "r.jsonl", revision=cut.revision)
        assert counts == cut.counts
        names = {resource.key.name for resource in await everything(other)}
        assert names == {resource.key.name for resource in await everything(store)}
        assert all(model.document.data in names for model in await other.find("model"))

    asyncio.run(story())


def test_a_store_goes_from_one_sort_of_store_to_another_and_back_unchanged(
    small: SmallHome, tmp_path: Path
) -> None:
    async def story() -> None:
        sqlite, memory = open_store(small.settings.store_url), MemoryStore()
        again = open_store(f"sqlite://{tmp_path}/again.db")
        for source, target, name in ((sqlite, memory, "a"), (memory, again, "b")):
            cut = await resources.write(source, tmp_path / name)
            await resources.read(target, tmp_path / name, revision=cut.revision)
        old, new = await everything(sqlite), await everything(again)
        assert [one.uid for one in new] == [one.uid for one in old]
        assert {one.generation for one in new} == {3}
        await sqlite.close()
        await again.close()

    asyncio.run(story())


def test_usage_is_not_lost_when_the_ledger_takes_it_in_while_the_book_is_copied(
    small: SmallHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_to = SqliteBook.copy_to

    async def copy_and_take_in(book: SqliteBook, path: Path) -> None:
        await copy_to(book, path)
        for journal in (small.home / "usage").iterdir():
            journal.unlink()

    monkeypatch.setattr(SqliteBook, "copy_to", copy_and_take_in)
    backed_up(small, tmp_path / "b.tar")
    assert b'"r1"' in members(tmp_path / "b.tar")["usage/usage-00000000000000001.jsonl"]


def test_the_ledger_is_copied_whole_while_it_is_written_to(small: SmallHome, tmp_path: Path) -> None:
    """Each entry comes with a mark of its number, in one transaction: a whole copy has as many as its mark says."""

    async def story() -> None:
        writing, copying = open_book(small.home), open_book(small.home)

        async def write() -> None:
            for number in range(1, 201):
                entry = replace(PAID, id=f"n{number}", debit="run/default/counted")
                await writing.append(entries=[entry], marks={"counted": float(number)})

        work = asyncio.create_task(write())
        for number in range(5):
            await asyncio.sleep(0)
            (tmp_path / str(number)).mkdir()
            await copying.copy_to(tmp_path / str(number) / "book.db")
            copy = open_book(tmp_path / str(number))
            assert await copy.problems() == []
            counted = (await copy.marks(["counted"])).get("counted", 0)
            assert len(await copy.entries("run/default/counted")) == counted
            await copy.close()
        await work
        for book in (writing, copying):
            await book.close()

    asyncio.run(story())


def test_a_damaged_blob_is_named_and_all_the_rest_is_kept(small: SmallHome, tmp_path: Path) -> None:
    small.damage(small.model)
    assert backed_up(small, tmp_path / "b.tar").damaged == (f"default/{small.model}",)
    done = restored(tmp_path / "b.tar", tmp_path / "new")
    assert (done.damaged, done.blobs) == ((f"default/{small.model}",), 3)
    assert not (tmp_path / "new" / small.blob(small.model).relative_to(small.home)).exists()
    assert (tmp_path / "new" / small.blob(small.data).relative_to(small.home)).exists()


def test_a_blob_that_cannot_be_read_is_a_damaged_one(
    small: SmallHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def broken_disk(path: Path, *args: str, **more: str) -> object:
        if path == small.blob(small.model):
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", broken_disk)
    done = backed_up(small, tmp_path / "b.tar")
    assert done.damaged == (f"default/{small.model}",)
    assert len(done.left_out) == 1
    assert restored(tmp_path / "b.tar", tmp_path / "new").damaged == (f"default/{small.model}",)


def test_a_restored_hall_says_which_root_key_it_needs_and_opens_with_it(
    small: SmallHome, tmp_path: Path
) -> None:
    backed_up(small, tmp_path / "b.tar")
    root = small.home / "keys/root.key"
    done = restored(tmp_path / "b.tar", tmp_path / "new")
    there = Settings(home=tmp_path / "new")
    with pytest.raises(Rejected, match=f"root key {done.root_key}, and .*put it back"):
        Keys(there, lambda: AT)
    (tmp_path / "new/keys/root.key").write_bytes(root.read_bytes())
    (tmp_path / "new/keys/root.key").chmod(0o600)
    for artifact in (small.data, small.model):
        Keys(there, lambda: AT).blobs("default").verify(artifact)


def test_a_restore_checks_the_root_key_that_the_settings_name(small: SmallHome, tmp_path: Path) -> None:
    backed_up(small, tmp_path / "b.tar")
    source = f"file:{small.home}/keys/root.key"
    done = restored(tmp_path / "b.tar", tmp_path / "new", root_key=source)
    Keys(Settings(home=tmp_path / "new", root_key=source), lambda: AT).blobs("default").verify(small.model)
    (tmp_path / "wrong").write_text("0" * 64)
    (tmp_path / "wrong").chmod(0o600)
    with pytest.raises(Rejected, match=f"wrapped by root key {done.root_key}"):
        restored(tmp_path / "b.tar", tmp_path / "newer", root_key=f"file:{tmp_path}/wrong")
    assert not (tmp_path / "newer").exists()


def test_keys_are_not_rotated_while_they_are_backed_up_nor_the_other_way_round(
    small: SmallHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(small.settings, lambda: AT)
    tried: list[str] = []

    def rotate(what: str, done: int, total: int) -> None:
        for name, change in (("root", keys.rotate_root), ("renew", lambda: keys.renew("default"))):
            with contextlib.suppress(NotNow):
                change()
                tried.append(name)

    asyncio.run(back_up(small.settings, tmp_path / "b.tar", now=lambda: NEW_AT, show=rotate))
    assert tried == []
    with keys.ring.standing(changing=True), pytest.raises(NotNow):
        backed_up(small, tmp_path / "c.tar")
    assert not (tmp_path / "c.tar").exists()


def test_blobs_that_are_not_sealed_are_kept_as_they_are(small: SmallHome, tmp_path: Path) -> None:
    (tmp_path / "older").mkdir()
    (tmp_path / "older/file").write_bytes(b"from before")
    for url in (small.settings.blobs, f"{small.settings.blobs}/plain"):
        older = open_blobs(url).put_folder(tmp_path / "older")
    backed_up(small, tmp_path / "b.tar")
    assert {f"blobs/{older}", f"blobs/plain/{older}"} < members(tmp_path / "b.tar").keys()
    done = restored(tmp_path / "b.tar", tmp_path / "new")
    assert done.blobs == 8
    for url in (f"folder://{tmp_path}/new/blobs", f"folder://{tmp_path}/new/blobs/plain"):
        open_blobs(url).verify(older)


def test_a_disk_without_room_for_a_backup_is_full_and_nothing_is_left_of_it(
    small: SmallHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Full):
        backed_up(small, tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_file_that_is_there_is_replaced_only_when_that_is_said(small: SmallHome, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("dear to somebody")
    with pytest.raises(Rejected, match="--force"):
        backed_up(small, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "dear to somebody"
    backed_up(small, tmp_path / "b.tar", force=True)
    assert "manifest.json" in members(tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_place_without_a_hall_has_nothing_to_back_up(small: SmallHome, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no hall"):
        asyncio.run(back_up(Settings(home=tmp_path / "none"), tmp_path / "b.tar", now=lambda: 1.0))
    with pytest.raises(Rejected, match=r"NAME\.tar"):
        backed_up(small, tmp_path / "backup.zip")


def test_a_home_that_is_not_empty_is_left_as_it_is(small: SmallHome, tmp_path: Path) -> None:
    backed_up(small, tmp_path / "b.tar")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/dear").write_text("to somebody")
    with pytest.raises(Rejected, match="not empty"):
        restored(tmp_path / "b.tar", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["dear"]


def test_a_store_of_the_settings_is_filled_when_it_is_empty_and_refused_when_not(
    small: SmallHome, tmp_path: Path
) -> None:
    done = backed_up(small, tmp_path / "b.tar")
    url = f"sqlite://{tmp_path}/elsewhere.db"
    restored(tmp_path / "b.tar", tmp_path / "new", store=url)
    assert len(in_store(url, everything)) == sum(done.resources.values())  # type: ignore[arg-type]
    assert not (tmp_path / "new/hall.db").exists()
    with pytest.raises(Rejected, match="not empty"):
        restored(tmp_path / "b.tar", tmp_path / "newer", store=url)
    assert not (tmp_path / "newer").exists()


# Files that are no backup.


def refused(file: Path, tmp_path: Path, match: str | None = None) -> None:
    """See that a file is refused, and that nothing is left of the try."""
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(Rejected, match=match) as caught:
        restored(file, tmp_path / "new")
    assert str(file) in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_a_file_cut_off_anywhere_is_refused(small: SmallHome, tmp_path: Path, name: str) -> None:
    backed_up(small, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    # What a tar has behind its last member is nothing but zeros.
    end = len(whole.rstrip(b"\0")) if name == "b.tar" else len(whole)
    chance = random.Random(7)
    for length in [0, 1, 511, 512, end - 1, *(chance.randrange(end) for _ in range(15))]:
        (tmp_path / name).write_bytes(whole[:length])
        refused(tmp_path / name, tmp_path)


def test_a_bit_flipped_anywhere_is_refused_or_changes_nothing(small: SmallHome, tmp_path: Path) -> None:
    backed_up(small, tmp_path / "b.tar")
    whole, held = (tmp_path / "b.tar").read_bytes(), members(tmp_path / "b.tar")
    chance = random.Random(7)
    for number in range(30):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole.rstrip(b"\0")))] ^= 1 << chance.randrange(8)
        file = tmp_path / "flipped.tar"
        file.write_bytes(changed)
        try:
            restored(file, tmp_path / f"new-{number}")
        except Rejected:
            assert not (tmp_path / f"new-{number}").exists()
        else:
            assert members(file) == held


def header(name: str, **facts: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in facts.items():
        setattr(made, field, value)
    return made


HOSTILE = {
    "out of its folder": header("../evil"),
    "out of a run": header("runs/u/1/../../../evil"),
    "absolute": header("/tmp/evil"),
    "twice": header("resources.jsonl"),
    "unknown": header("token"),
    "not tidy": header("runs/u/1//x"),
    "a link": header("runs/u/1/x", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": header("runs/u/1/x", type=tarfile.LNKTYPE, linkname="hall.toml"),
    "a device": header("runs/u/1/x", type=tarfile.CHRTYPE, devmajor=1, devminor=1),
    "a fifo": header("runs/u/1/x", type=tarfile.FIFOTYPE),
    "a folder": header("runs/u/1/x", type=tarfile.DIRTYPE),
    "a program of somebody": header("runs/u/1/x\n"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_member_that_no_backup_has_is_refused(small: SmallHome, tmp_path: Path, case: str) -> None:
    backed_up(small, tmp_path / "b.tar")
    file = forged(tmp_path, members(tmp_path / "b.tar"), more=[(HOSTILE[case], b"")])
    refused(file, tmp_path)
    assert not Path("/tmp/evil").exists()


def test_what_a_forged_list_would_let_in_is_refused_as_well(small: SmallHome, tmp_path: Path) -> None:
    """Whoever changes a file can change its list too: then what it holds must be fit to be restored."""
    backed_up(small, tmp_path / "b.tar")
    held = members(tmp_path / "b.tar")
    blob = f"blobs/default/{'0' * 64}"
    lines = held["resources.jsonl"].splitlines()
    strange = lines[0].replace(b'"name":"d"', b'"name":"../d"')
    for change, match in (
        ({blob: b"other"}, "digest"),
        ({"resources.jsonl": b"[]\n"}, "line 1"),
        ({"resources.jsonl": b"\n".join([*lines, strange]) + b"\n"}, "line 8"),
        ({"resources.jsonl": b"\n".join([*lines, lines[0]]) + b"\n"}, "twice"),
        ({"events.jsonl": b"{}\n"}, "no event"),
        ({"book.db": b"no book"}, "book"),
        ({"treasury.db": b"no treasury"}, "treasury"),
        ({"hall.toml": b'store = "sqlite:///tmp/evil.db"\n'}, "store"),
        ({"hall.toml": b'failpoints = "store.committed"\n'}, "failpoints"),
        ({"hall.toml": b'root_key = "command:touch /tmp/evil"\n'}, "root_key"),
        ({"keys/projects.json": b"{}"}, "makes no sense"),
    ):
        with pytest.raises(Rejected, match=match):
            restored(forged(tmp_path, held | change), tmp_path / "new")
        assert not (tmp_path / "new").exists()


def forged(
    tmp_path: Path, held: dict[str, bytes], *, more: list[tuple[tarfile.TarInfo, bytes]] | None = None
) -> Path:
    """A file with these members, whose list says so."""
    manifest = json.loads(held["manifest.json"])
    manifest["members"] = {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in held.items()
        if name != "manifest.json"
    }
    file = tmp_path / "forged.tar"
    with tarfile.open(file, "w") as tar:
        for name, data in held.items():
            if name != "manifest.json":
                tar.addfile(header(name, size=len(data)), io.BytesIO(data))
        for info, data in more or []:
            tar.addfile(info, io.BytesIO(data))
        data = json.dumps(manifest).encode()
        tar.addfile(header("manifest.json", size=len(data)), io.BytesIO(data))
    return file


def test_a_backup_of_a_newer_hall_is_refused_before_anything_else(tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    with tarfile.open(file, "w") as tar:
        said = json.dumps({"format": FORMAT + 1, "new": True}).encode()
        tar.addfile(header("format.json", size=len(said)), io.BytesIO(said))
        tar.addfile(header("something/new"))
    refused(file, tmp_path, "use the newer hall")


def test_what_is_no_tar_or_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"dear diary" * 1000)
    refused(tmp_path / "b.tar", tmp_path)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.addfile(header("photos/cat.png", size=3), io.BytesIO(b"cat"))
    refused(tmp_path / "b.tar", tmp_path, "no backup of a hall")
    (tmp_path / "b.tar").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    refused(tmp_path / "b.tar", tmp_path, "zstd")


def bombs() -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    yield "times its size", [header(f"blobs/{'0' * 64}", size=1 << 34)]
    yield "header", [header("x", type=tarfile.XHDTYPE, size=1 << 34)]
    yield "header", [header("x", type=tarfile.GNUTYPE_LONGNAME, size=1 << 34)]


@pytest.mark.parametrize(("match", "headers"), list(bombs()))
def test_a_file_that_would_unpack_without_end_is_refused_soon(
    tmp_path: Path, match: str, headers: list[tarfile.TarInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelhall.app.keep.reader.UNSUSPECTED_BYTES", 4 << 20)
    file = tmp_path / "b.tar.gz"
    said = json.dumps({"format": FORMAT}).encode()
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(header("format.json", size=len(said)).tobuf() + said.ljust(512, b"\0"))
        for info in headers:
            packed.write(info.tobuf(format=tarfile.GNU_FORMAT))
        for _ in range(64):
            packed.write(bytes(1 << 20))
    refused(file, tmp_path, match)
