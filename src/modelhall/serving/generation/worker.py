"""The thread in which an engine tells texts: takes in whoever has come before each step, and lets go of whoever has
gone. As many are told at once as the engine has slots; a bounded number waits."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modelhall.core.errors import Broken, HallError, NotNow, Rejected
from modelhall.serving.engines import Generator, Sampling, Token

log = logging.getLogger(__name__)

WAITING = 4
"""Texts that may wait for each slot; one beyond them would be too old when its turn comes."""


class Wanted(NamedTuple):
    """A text to be told."""

    prompt: Sequence[int]
    sampling: Sampling


Tell = Callable[[int, Token | HallError, float], None]
"""Told which of a request's texts went on, by what, and the processor seconds it took; or why it does not. Called in
the worker's thread."""

BROKEN = Broken("the replica failed to generate; its log says why")


@dataclass(kw_only=True)
class _Text:
    key: int
    place: int
    """Which it is of its request's."""
    wanted: Wanted
    tell: Tell
    began: float


class Worker:
    def __init__(
        self, engine: Generator, *, slots: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self._slots = slots
        self._monotonic = monotonic
        self._keys = itertools.count(1)
        self._changed = threading.Condition()
        self._waiting: deque[_Text] = deque()
        self._gone: set[int] = set()
        self._running: dict[int, _Text] = {}
        self._closed = False
        self._text_s = 1.0
        """What a text took of late, from its coming to its end."""
        self.on_step: Callable[[int, float], None] = lambda tokens, compute_s: None
        self._thread = threading.Thread(target=self._work, name="generate", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, wanted: Sequence[Wanted], tell: Tell) -> list[int]:
        """Have a request's texts told; their keys, to `cancel` them by. Raises NotNow when too many wait."""
        now = self._monotonic()
        with self._changed:
            there = len(self._running) + len(self._waiting)
            if there and there + len(wanted) > (1 + WAITING) * self._slots:
                delay_s = self._text_s * (1 + len(self._waiting) / self._slots)
                raise NotNow(f"{len(self._waiting)} texts are waiting already", delay_s=delay_s)
            texts = [
                _Text(key=next(self._keys), place=place, wanted=one, tell=tell, began=now)
                for place, one in enumerate(wanted)
            ]
            self._waiting += texts
            self._changed.notify()
        return [text.key for text in texts]

    def cancel(self, keys: Sequence[int]) -> None:
        """Let go of texts that nobody waits for any more, before the next step."""
        with self._changed:
            self._gone.update(keys)
            self._changed.notify()

    def close(self) -> None:
        """End the thread; what is under way is told no further."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self.engine.close()

    def _work(self) -> None:
        while self._take_in():
            begun_s = self.engine.spent_s
            try:
                told = self.engine.step()
            except Exception:
                log.exception("generation.failed texts=%d", len(self._running))
                self._fail()
                continue
            self._hand_out(told, self.engine.spent_s - begun_s)

    def _take_in(self) -> bool:
        """Wait until there is something to tell, and give the engine what has changed; False when it is over."""
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._waiting or self._gone or self._closed)
                gone, self._gone = self._gone, set()
                self._waiting = deque(text for text in self._waiting if text.key not in gone)
                room = self._slots - len(self._running.keys() - gone)
                coming = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
                # Counted from here on, so that what has left the queue is nowhere counted twice or not at all.
                left = [self._running.pop(key) for key in gone if key in self._running]
                self._running.update((text.key, text) for text in coming)
            self._change_engine(left, coming)
            if self._running:
                return True
        return False

    def _change_engine(self, left: Sequence[_Text], coming: Sequence[_Text]) -> None:
        for text in left:
            self.engine.cancel(text.key)
        for text in coming:
            try:
                self.engine.add(text.key, text.wanted.prompt, text.wanted.sampling)
            except HallError as error:
                self._end(text)
                text.tell(text.place, error, 0.0)
            except Exception:
                log.exception("generation.not_begun")
                self._end(text)
                text.tell(text.place, BROKEN, 0.0)

    def _hand_out(self, told: Sequence[Token], compute_s: float) -> None:
        self.on_step(len(told), compute_s)
        share_s = compute_s / max(1, len(self._running))
        for token in told:
            text = self._running.get(token.key)
            if text is None:
                continue
            if token.end is not None:
                self._end(text)
                self._text_s = 0.8 * self._text_s + 0.2 * (self._monotonic() - text.began)
            refused = Rejected(token.refusal, field="response_format") if token.end == "refused" else None
            text.tell(text.place, refused or token, share_s)

    def _end(self, text: _Text) -> None:
        with self._changed:
            del self._running[text.key]

    def _fail(self) -> None:
        """The engine broke over one of them, and there is no telling which."""
        for text in list(self._running.values()):
            self.engine.cancel(text.key)
            self._end(text)
            text.tell(text.place, BROKEN, 0.0)
