"""A value of a row as people can look at it: a picture as a picture, a sound to be heard, all else as words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

BEGINNINGS = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "audio/wav",
    "T2dnUw": "audio/ogg",
    "ZkxhQ": "audio/flac",
}
"""How the base64 of files begins that browsers can show."""
LONGEST = 400
MOST_BASE64 = 400_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One value."""

    sort: Literal["text", "number", "image", "audio"]
    words: str
    url: str = ""
    """For what is shown or heard: all of it, as a data URL."""


def sample(value: Any) -> Sample:
    """What is shown of a value as `looking.rows` tells it, where bytes come as base64."""
    if isinstance(value, str):
        media_type = next((kind for begin, kind in BEGINNINGS.items() if value.startswith(begin)), None)
        if media_type is not None and len(value) <= MOST_BASE64:
            sort: Literal["image", "audio"] = "image" if media_type.startswith("image") else "audio"
            return Sample(sort=sort, words=media_type, url=f"data:{media_type};base64,{value}")
        return Sample(sort="text", words=_short(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Sample(sort="number", words=f"{value:.6g}" if isinstance(value, float) else str(value))
    return Sample(sort="text", words=_short(json.dumps(value, ensure_ascii=False)))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
