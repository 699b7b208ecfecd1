"""From tokens to text, piece by piece: no piece ends within a character, and none holds what may yet turn out to be a
stop sequence."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Text:
    """One text as it is told."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._decoded = 0
        """Characters that the stream gave."""
        self._held = ""
        self.stopped = False
        """Whether a stop sequence came; nothing is told after it, nor it itself."""

    def feed(self, id: int) -> str:
        """One token more; what can be told by now."""
        if self.stopped:
            return ""
        self._ids.append(id)
        piece = self._stream.step(self._tokenizer, id) or ""
        self._decoded += len(piece)
        return self._release(piece)

    def finish(self) -> str:
        """No token will come: what was held back, with U+FFFD for a character that has no end."""
        if self.stopped:
            return ""
        whole = self._tokenizer.decode(self._ids)
        told = self._release(whole[self._decoded :])
        held, self._held = self._held, ""
        return told + ("" if self.stopped else held)

    def _release(self, piece: str) -> str:
        if not self._stops:
            return piece
        held = self._held + piece
        found = [place for stop in self._stops if (place := held.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return held[: min(found)]
        keep = max(_overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    return next(
        (size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0
    )
