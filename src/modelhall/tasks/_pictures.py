"""Pictures from their encoded bytes, which may come from anywhere."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from modelhall.core.errors import Rejected

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
"""What is read. Pillow knows thirty more, one of which it hands to another program (EPS, to Ghostscript)."""
MAX_PIXELS = 50_000_000
"""Larger pictures are refused before they are unpacked."""
MAX_SIDE = 65_500


def open_picture(data: bytes | None, name: str, *, field: str) -> Image.Image:
    """A picture, unpacked; raises Rejected, calling it `name`, if it is none, damaged, or too large."""
    data = data or b""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise Rejected(f"{name} has {width}×{height} pixels; {MAX_PIXELS} are read at most", field=field)
        picture.load()
    except UnidentifiedImageError:
        raise Rejected(
            f"{name} is not a picture: it begins with {data[:8]!r}; read are {', '.join(FORMATS)}",
            field=field,
        ) from None
    except (OSError, ValueError, SyntaxError, TypeError, IndexError, Image.DecompressionBombError) as error:
        raise Rejected(f"{name} is a damaged picture: {error}", field=field) from None
    return picture
