"""An engine in a process of its own that counts on from a prompt's last token; some tokens have it misbehave."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from modelhall.core.errors import Rejected
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.engines._aside import serve

REFUSED, BREAKS, DIES = 13, 66, 99
"""Last tokens of prompts that are not begun, that break the step, and that end the process."""


class Counting:
    alternatives, schemas, penalties, counts_told = 3, True, False, True
    memory_used = None

    def __init__(self) -> None:
        self._texts: dict[int, tuple[int, int]] = {}

    @property
    def spent_s(self) -> float:
        return time.process_time()

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        if prompt[-1] == REFUSED:
            raise Rejected("unlucky")
        self._texts[key] = (prompt[-1], prompt[-1] + sampling.most)

    def step(self) -> list[Token]:
        told = []
        for key, (last, end) in list(self._texts.items()):
            if last == BREAKS:
                raise RuntimeError("out of luck")
            if last == DIES:
                os._exit(3)
            self._texts[key] = (last + 1, end)
            told.append(
                Token(key, last + 1, "length" if last + 1 == end else None, -0.5, ((last + 1, -0.5),))
            )
            if last + 1 == end:
                del self._texts[key]
        return told

    def cancel(self, key: int) -> None:
        self._texts.pop(key, None)


def load(*, can: bool) -> Counting:
    if not can:
        raise Rejected("this cannot be counted", field="engine")
    print("libraries print as they like")  # noqa: T201
    return Counting()


if __name__ == "__main__":
    serve(load)
