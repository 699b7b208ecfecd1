"""Pictures come from anywhere: few formats, few pixels, and never another program."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.tasks._pictures import FORMATS, MAX_PIXELS, open_picture


def encoded(form: str, size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, format=form)
    return buffer.getvalue()


def png_that_says(width: int, height: int, pixels: bytes = b"") -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")):
        data += (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return data


@pytest.mark.parametrize("form", FORMATS)
def test_the_formats_that_are_read_are_read(form: str) -> None:
    assert open_picture(encoded(form), "it", field="f").size == (4, 3)


@pytest.mark.parametrize("form", ["EPS", "PPM", "PCX", "TGA", "ICO", "PDF", "SGI", "MSP"])
def test_no_other_format_is_read_above_all_none_that_runs_a_program(form: str) -> None:
    buffer = io.BytesIO()
    Image.new("1" if form == "MSP" else "RGB", (16, 16)).save(buffer, format=form)
    with pytest.raises(Rejected, match="it is not a picture"):
        open_picture(buffer.getvalue(), "it", field="f")


@pytest.mark.parametrize("size", [(10_000, 10_000), (2**31 - 1, 1), (1, 70_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_says_it_is_vast_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(Rejected, match=f"{MAX_PIXELS} are read|damaged"):
        open_picture(png_that_says(*size), "it", field="f")


@pytest.mark.parametrize(
    "data", [None, b"", b"\x89PNG\r\n\x1a\n", encoded("PNG")[:-30], encoded("JPEG")[:200], b"GIF89a"]
)
def test_a_picture_that_is_torn_is_refused(data: bytes | None) -> None:
    with pytest.raises(Rejected):
        open_picture(data, "it", field="f")


def test_what_follows_a_picture_is_not_looked_at() -> None:
    assert open_picture(encoded("PNG") + b"PK\x03\x04" + b"\x80\x04.", "it", field="f").size == (4, 3)
