"""CVE-2026-27905: BentoML unpacked an archive through a symbolic link in it, to wherever it led. `hall restore` takes
nothing but plain files with the names of a backup's members."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import loading
import pytest
from watching import Unharmed

from modelhall.core.errors import Rejected

Member = tuple[str, bytes, str, bytes]
"""Name, type, what it links to, content."""

LINKS: list[list[Member]] = [
    [("runs/u/1/out", tarfile.SYMTYPE, "{elsewhere}", b""), ("runs/u/1/out/evil", tarfile.REGTYPE, "", b"x")],
    [
        ("runs/u/1/out", tarfile.LNKTYPE, "{elsewhere}/there", b""),
        ("runs/u/1/out", tarfile.REGTYPE, "", b"x"),
    ],
    [("hall.toml", tarfile.SYMTYPE, "{elsewhere}/there", b""), ("hall.toml", tarfile.REGTYPE, "", b"x")],
    [("runs", tarfile.SYMTYPE, "../../elsewhere", b""), ("runs/u/1/evil", tarfile.REGTYPE, "", b"x")],
    [("../elsewhere/evil", tarfile.REGTYPE, "", b"x")],
    [("{elsewhere}/evil", tarfile.REGTYPE, "", b"x")],
    [("runs/u/1/../../../../elsewhere/evil", tarfile.REGTYPE, "", b"x")],
    [("runs/u/1/pipe", tarfile.FIFOTYPE, "", b"")],
    [("runs/u/1/disk", tarfile.BLKTYPE, "", b"")],
    [("runs/u/1/folder", tarfile.DIRTYPE, "", b"")],
]


def archive(path: Path, members: list[Member], elsewhere: Path) -> None:
    with tarfile.open(path, "w") as tar:
        facts = b'{"format": 1, "made_by": "1", "made_at": 1, "revision": 1, "members": {}}'
        for name, kind, target, content in [
            ("format.json", tarfile.REGTYPE, "", b'{"format": 1}'),
            *members,
            ("manifest.json", tarfile.REGTYPE, "", facts),
        ]:
            header = tarfile.TarInfo(
                name.format(elsewhere=elsewhere) if name[0] != "{" else f"{elsewhere}/evil"
            )
            header.type, header.size, header.linkname = kind, len(content), target.format(elsewhere=elsewhere)
            tar.addfile(header, io.BytesIO(content))


@pytest.mark.parametrize("members", LINKS, ids=lambda members: f"{members[0][0]}, {members[0][1]!r}")
def test_an_archive_that_leads_elsewhere_is_refused_and_leaves_no_home(
    members: list[Member], tmp_path: Path, unharmed: Unharmed
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "there").write_text("as it was")
    archive(tmp_path / "b.tar", members, elsewhere)
    with unharmed(), pytest.raises(Rejected):
        loading.restore_backup(tmp_path / "b.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "canary", "elsewhere"]
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("there", "as it was")]
