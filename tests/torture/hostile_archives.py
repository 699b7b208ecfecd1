"""Archives for `hall restore` that escape, or are none."""

from __future__ import annotations

import gzip
import io
import tarfile
from functools import cache
from pathlib import Path

import payloads
from hostile_parts import Made, Random, torn
from hostile_pickles import disguised


def archive_that_escapes(chance: Random, folder: Path, canary: Path) -> Made:
    path = folder / chance.choice(["b.tar", "b.tar.gz"])
    members = _members(chance, folder, canary)
    about, wrong = chance.choice(members)
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=chance.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    ) as tar:
        _add(tar, "format.json", b'{"format": 1, "made_by": "1"}')
        for info, content in wrong:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
        _add(
            tar, "manifest.json", b'{"format": 1, "made_by": "1", "made_at": 1, "revision": 1, "members": {}}'
        )
    data = buffer.getvalue()
    if chance.random() < 0.2:
        how, data = torn(chance, data)
        about = f"{about}, {how}"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return about, path


def _members(
    chance: Random, folder: Path, canary: Path
) -> list[tuple[str, list[tuple[tarfile.TarInfo, bytes]]]]:
    name = chance.choice(
        ["runs/u/1/x", "hall.toml", "usage/usage-1.jsonl", "blobs/" + "a" * 64, "resources.jsonl"]
    )
    target = chance.choice([str(canary), "/etc/cron.d/evil", "../../../../canary", "..", "/"])
    kinds = [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_SPARSE,
    ]
    kind = chance.choice(kinds)
    odd = chance.choice([
        "/etc/evil", "../evil", "runs/../../evil", "runs/u/1/../../../../evil", "..\\evil", "C:\\evil", "hall.db",
        "runs/u/1/\0x", "runs//u/1/x", "./hall.toml", "token", "keys/signing.pem", "x" * 5000, "runs/u/1/‮", "",
        "blobs/" + "a" * 63, "blobs/../token.key", "usage/usage-1.jsonl/../../token", "manifest.json", "format.json",
    ])  # fmt: skip
    through = [(_info(name, tarfile.SYMTYPE, str(folder.parent)), b""), (_info(f"{name}/evil"), b"x")]
    renamed = _info(name)
    renamed.pax_headers = {"path": "../../evil", "size": "99999999"}
    grown = _info(name)
    grown.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.realsize": str(2**50),
        "GNU.sparse.name": "../evil",
    }
    return [
        ("a special file", [(_info(name, kind, target), b"")]), ("a name that leads out", [(_info(odd), b"x")]),
        ("through a link", through), ("renamed by a header", [(renamed, b"x")]), ("sparse", [(grown, b"1\n0\n10\n")]),
        ("the same twice", [(_info(name), b"a"), (_info(name), b"b")]),
        ("settings", [(_info("hall.toml"), b'store = "x"')]),
        ("pickled rows", [(_info("resources.jsonl"), disguised(chance, canary)[1]), (_info("events.jsonl"), b"")]),
        ("a bomb", [(_info("blobs/" + "a" * 64), bytes(8 << 20))]),
        ("no database", [(_info("book.db"), b"SQLite format 3\0" * 99)]),
    ]  # fmt: skip


def _info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o4777
    return info


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(64 << 20))


def archive_that_is_another(chance: Random, folder: Path, canary: Path) -> Made:
    path = folder / chance.choice(["b.tar", "b.tar.gz", "b.zip"])
    about, data = chance.choice([
        ("a pickle", disguised(chance, canary)[1]),
        ("a zip with a pickle", payloads.as_torch(payloads.calls(canary)[0])),
        ("a gzip bomb", _gzip_bomb()), ("gzip in gzip", gzip.compress(gzip.compress(bytes(1 << 20)))),
        ("noise", chance.randbytes(4096)),
        ("nothing", b""),
        ("zeros", bytes(10240)),
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(99)),
        ("bzip", b"BZh91AY&SY" + chance.randbytes(99)), ("a header alone", b"format.json".ljust(512, b"\0")),
    ])  # fmt: skip
    path.write_bytes(data)
    return about, path
