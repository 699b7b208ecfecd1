"""The hall's line to the process that speaks with Ray (`connection.py`), which is started when there is something to
ask, and again after it has ended."""

from __future__ import annotations

import asyncio
import itertools
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from modelhall.adapters.launcher.ray.cluster import (
    Answer,
    Asked,
    Done,
    Look,
    Post,
    Release,
    Reserve,
    Reserved,
    Sight,
)
from modelhall.core.errors import NotNow

log = logging.getLogger(__name__)

PROGRAM = "modelhall.adapters.launcher.ray.connection"
"""Named, not imported: it loads Ray."""
RETRY_S = 2.0

Process = subprocess.Popen[bytes]


class Line:
    """Asks of one hall to one cluster."""

    def __init__(self, address: str, hall: str, *, folder: Path, environment: Mapping[str, str]) -> None:
        """`hall` tells this hall from others in the cluster. What the process says for people to read lies in
        `folder`; `environment` is all that it sees of this process's own."""
        self.address = address
        self._hall = hall
        self._said = folder / "connection.log"
        self._environment = dict(environment)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def ask(self, what: Look | Post | Reserve | Release, within_s: float) -> Sight | Reserved | Done:
        """Raises NotNow when Ray cannot be reached, takes longer, or says that it cannot be done."""
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = Asked(number=number, what=what).model_dump_json().encode() + b"\n"
        try:
            await asyncio.to_thread(_say, self._connected(), line)
            said = await asyncio.wait_for(answer, within_s)
        except TimeoutError:
            raise NotNow(
                f"Ray at {self.address} has not answered within {within_s:g} s; tried again", delay_s=RETRY_S
            ) from None
        except OSError:
            raise NotNow(self._last_word(), delay_s=RETRY_S) from None
        finally:
            self._waiting.pop(number, None)
        if said.said is None:
            raise NotNow(f"Ray at {self.address} says no: {said.problem}; tried again", delay_s=RETRY_S)
        return said.said

    def hang_up(self) -> None:
        """End the process; what is asked next begins anew."""
        if self._process is not None:
            self._process.kill()
        self._process = None

    def _connected(self) -> IO[bytes]:
        """What the process reads."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
            self._listening = asyncio.create_task(self._listen(self._process))
        assert self._process.stdin is not None
        return self._process.stdin

    def _start(self) -> Process:
        self._said.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._said.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", PROGRAM, self.address, self._hall],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                env=self._environment, start_new_session=True,
            )  # fmt: skip

    async def _listen(self, process: Process) -> None:
        """Hand out the answers of a process until it ends."""
        assert process.stdout is not None
        try:
            while line := await asyncio.to_thread(process.stdout.readline):
                answer = Answer.model_validate_json(line)
                if (waiting := self._waiting.get(answer.number)) is not None and not waiting.done():
                    waiting.set_result(answer)
        except ValueError as error:
            log.warning("ray.unheard reason=%s", error)
        finally:
            # So that no thread waits for its next line, however this ends.
            process.kill()
        await asyncio.to_thread(process.wait)
        if self._process not in (None, process):
            return
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NotNow(self._last_word(), delay_s=RETRY_S))

    def _last_word(self) -> str:
        lines = self._said.read_text(errors="replace").splitlines() if self._said.exists() else []
        last = next(
            (line for line in reversed(lines) if line.strip()), "the process that speaks with it ended"
        )
        return f"Ray at {self.address} is not reached: {last[:500]}"


def _say(process: IO[bytes], line: bytes) -> None:
    process.write(line)
    process.flush()
