"""Pictures that are bombs, programs, or torn."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path

import payloads
from hostile_parts import Made, Random, torn
from hostile_pickles import disguised
from loading import picture


def picture_that_is_none(chance: Random, folder: Path, canary: Path) -> Made:
    path = folder / "picture"
    about, data = chance.choice(_pictures(chance, canary))
    path.write_bytes(data)
    return about, path


def picture_that_is_torn(chance: Random, folder: Path, canary: Path) -> Made:
    form = chance.choice(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
    how, data = torn(chance, picture(form, side=chance.choice([1, 8, 33])))
    (folder / "picture").write_bytes(data)
    return f"{form} {how}", folder / "picture"


def _pictures(chance: Random, canary: Path) -> list[tuple[str, bytes]]:
    runs = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%rm -f {canary}) (r) file\nshowpage\n".encode()
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{canary}"/></svg>'.encode()
    xpm = b'/* XPM */\nstatic char * x[] = {"9 9 1 1", "  c #000000"' + b', "         "' * 9 + b"};"
    side = chance.choice([70_000, 2**31 - 1, 20_000])
    return [
        ("EPS that runs a program", runs), ("SVG", svg), ("XPM", xpm), ("a pickle", disguised(chance, canary)[1]),
        ("a PNG that says it is vast", _png(side, side)), ("a PNG bomb", _png(9_000, 9_000, _bomb(9_001 * 9_000))),
        ("a PNG line", _png(2**31 - 1, 1)), ("a PNG of nothing", _png(0, 0)),
        ("a picture and a zip", picture() + payloads.as_torch(payloads.calls(canary)[0])),
        ("a picture and a pickle", picture() + payloads.as_pickle(payloads.calls(canary)[0])),
        ("a text chunk bomb", _png(8, 8, _bomb(72), extra=(b"zTXt", b"k\0\0" + _bomb(80 << 20)))),
        ("a profile bomb", _png(8, 8, _bomb(72), extra=(b"iCCP", b"k\0\0" + _bomb(80 << 20)))),
        ("a GIF of a thousand", picture("GIF")[:-1] + picture("GIF")[13:-1] * 1000 + b";"),
        ("ICO", b"\0\0\1\0\xff\xff" + bytes(999)),
        ("PSD", b"8BPS\0\1" + bytes(99)),
        ("WMF", b"\xd7\xcd\xc6\x9a" + bytes(99)),
        ("a TIFF that leads round", b"II*\0\x08\0\0\0\1\0\0\1\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"),
        ("FITS", b"SIMPLE  =  T" + bytes(2880)),
        ("a BMP that is vast", b"BM" + struct.pack("<IHHIIiiHHI", 99, 0, 0, 54, 40, side, -side, 1, 32, 0)),
    ]  # fmt: skip


@cache
def _bomb(size_bytes: int) -> bytes:
    """So many zeros, in a thousandth of their size."""
    return zlib.compress(bytes(size_bytes))


def _png(width: int, height: int, packed: bytes = b"", *, extra: tuple[bytes, bytes] | None = None) -> bytes:
    """A grey PNG that says it has this size, whatever its packed pixels are."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    chunks = [head, extra, (b"IDAT", packed)]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in (*(chunk for chunk in chunks if chunk is not None), (b"IEND", b"")):
        data += (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return data
