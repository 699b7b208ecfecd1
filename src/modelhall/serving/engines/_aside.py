"""A generator in a process of its own, for engines that hold Python's lock while they compute.

Both sides write lines of JSON: what is to be done goes one way, what came of each step the other. The process steps
on without being asked, and ends when nobody listens any more. A replica without its engine is none: it ends, and the
hall starts another.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO, NoReturn, Protocol

from modelhall.core.errors import Broken, HallError, Rejected
from modelhall.serving.engines import Sampling, Token

log = logging.getLogger(__name__)

_EXIT_CODE = 70
_TOLD_OF = ("alternatives", "schemas", "penalties", "counts_told", "memory_used")
"""What of the engine the replica has to know."""


class Aside:
    """The generator as its replica has it."""

    vectors = False
    scores = False

    def __init__(self, program: str, *, die: Callable[[int], NoReturn] = os._exit, **about: Any) -> None:
        """Start the module `program`, which calls `serve`, and tell it `about` what to load. Raises what it says to
        that. `die` ends the replica when the process is gone later."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        self._die = die
        self._loaded = False
        self._there: set[int] = set()
        """The texts that are neither over nor let go of; of others it may tell for a step or two yet."""
        self.spent_s = 0.0
        self._send(about)
        said = self._hear()
        if "refused" in said:
            self.close()
            raise Rejected(said["refused"], field=said["field"])
        self.alternatives: int = said["alternatives"]
        self.schemas: bool = said["schemas"]
        self.penalties: bool = said["penalties"]
        self.counts_told: bool = said["counts_told"]
        self.memory_used: float | None = said["memory_used"]
        self._loaded = True

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        asked = {**asdict(sampling), "ends": sorted(sampling.ends)}
        self._there.add(key)
        self._send({"add": key, "prompt": list(prompt), "sampling": asked})

    def step(self) -> list[Token]:
        """What came of its next step."""
        said = self._hear()
        self.spent_s, self.memory_used = said["spent_s"], said["memory_used"]
        if "failed" in said:
            raise Broken("the engine failed; the log of the replica says why")
        told = [token for parts in said["told"] if (token := _token(*parts)).key in self._there]
        self._there -= {token.key for token in told if token.end is not None}
        return told

    def embed(self, texts: Sequence[Sequence[int]], adapter: str = "") -> list[list[float]]:
        raise NotImplementedError("an engine aside tells texts alone")

    def score(self, text: Sequence[int], alternatives: int, adapter: str = "") -> list[Token]:
        raise NotImplementedError("an engine aside tells texts alone")

    def cancel(self, key: int) -> None:
        self._there.discard(key)
        self._send({"cancel": key})

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdout.close()  # it may be waiting for us to read
        self._process.stdin.close()
        self._process.wait()

    def _send(self, what: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._is_gone()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._is_gone()
        said: dict[str, Any] = json.loads(line)
        return said

    def _is_gone(self) -> NoReturn:
        code = self._process.wait()
        if not self._loaded:
            raise Broken(
                f"the engine ended with code {code} while it was loaded; the log of the replica says why"
            )
        log.critical("engine.gone exit_code=%s", code)
        self._die(_EXIT_CODE)


class Stepper(Protocol):
    """The engine as it is in its own process."""

    alternatives: int
    schemas: bool
    penalties: bool
    counts_told: bool

    @property
    def spent_s(self) -> float: ...

    @property
    def memory_used(self) -> float | None: ...

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None: ...

    def step(self) -> list[Token]: ...

    def cancel(self, key: int) -> None: ...


def serve(load: Callable[..., Stepper]) -> None:
    """In the engine's process: load it as the replica says, and step for as long as the replica is there."""
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # meant for the replica, which has yet to end what is under way
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no word of ours
    commands = _Commands(sys.stdin.buffer)
    about = commands.come(wait=True)
    if about is None:
        return
    try:
        engine = load(**about[0])
    except HallError as error:
        _say(out, {"refused": error.message, "field": error.field})
        return
    _say(out, {name: getattr(engine, name) for name in _TOLD_OF})
    there: set[int] = set()
    while (asked := commands.come(wait=not there)) is not None:
        told = [token for command in asked if (token := _do(engine, command, there)) is not None]
        if told or there:
            _say(out, _step(engine, there, told))


class _Commands:
    """What the replica says. It is read whatever else is done, so that neither side waits for the other to read."""

    def __init__(self, lines: BinaryIO) -> None:
        self._come: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def come(self, *, wait: bool) -> list[dict[str, Any]] | None:
        """All that has come, with `wait` at least one; None when the replica is gone."""
        found = [self._come.get()] if wait else []
        while not self._come.empty():
            found.append(self._come.get())
        return None if None in found else [command for command in found if command is not None]

    def _read(self, lines: BinaryIO) -> None:
        for line in lines:
            self._come.put(json.loads(line))
        self._come.put(None)


def _do(engine: Stepper, command: Mapping[str, Any], there: set[int]) -> Token | None:
    """Take in or let go of a text; a refused one is told so."""
    if "cancel" in command:
        engine.cancel(command["cancel"])
        there.discard(command["cancel"])
        return None
    key, asked = command["add"], command["sampling"]
    try:
        engine.add(key, command["prompt"], _sampling(asked))
    except Rejected as error:
        return Token(key, 0, "refused", refusal=error.message)
    there.add(key)
    return None


def _step(engine: Stepper, there: set[int], told: list[Token]) -> dict[str, Any]:
    """A step of the texts that are `there`, and what is to be said of it, with what was `told` before."""
    try:
        told += engine.step() if there else []
    except Exception:  # noqa: BLE001 - the replica fails those who are under way, and goes on
        traceback.print_exc()
        for key in there:
            engine.cancel(key)
        there.clear()
        return {"failed": True, **_figures(engine)}
    there -= {token.key for token in told if token.end is not None}
    return {"told": told, **_figures(engine)}


def _figures(engine: Stepper) -> dict[str, Any]:
    return {"spent_s": engine.spent_s, "memory_used": engine.memory_used}


def _sampling(asked: Mapping[str, Any]) -> Sampling:
    return Sampling(**{**asked, "ends": frozenset(asked["ends"]), "told": tuple(asked["told"])})


def _token(key: int, id: int, end: Any, logprob: float, top: Any, refusal: str, cached: int | None) -> Token:
    return Token(key, id, end, logprob, tuple((id, logprob) for id, logprob in top), refusal, cached)


def _say(out: BinaryIO, what: Mapping[str, Any]) -> None:
    try:
        out.write(json.dumps(what).encode() + b"\n")
        out.flush()
    except BrokenPipeError:
        sys.exit(0)
