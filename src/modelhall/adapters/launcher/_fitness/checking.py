"""When a machine is asked for the known answers, and what it failed in. Nobody waits for it: it is looked at whenever
the machine is reported, and begins, goes on or ends by then."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from modelhall.adapters.launcher._fitness import known_answers

EVERY_S = 3600.0
SOON_S = 300.0
"""When it is asked again after it failed, or after an attempt ended as on a machine that fails."""
AGAIN_S = 30.0
"""When it is asked again that gave no answer, as a program does that was killed for want of memory."""
LIMIT_S = 120.0
ANSWERS = {
    "arithmetic": "601510522b4d51e60d2e8bd1285b703883c4a5fcf8c6efd0572db580d991e4f0",
    "memory": "dd743002fb3afee14af996dd1ea99930b7ed9188230e45e58a02e018ff5d5192",
    "disk": "fbbab289f7f94b25736c58be46a994c441fd02552cc6022352e3d86d2fab7c83",
}

log = logging.getLogger(__name__)


class Checking:
    """The checks of one machine, as long as this process lives."""

    def __init__(
        self,
        folder: Path,
        *,
        monotonic: Callable[[], float],
        program: Path = Path(known_answers.__file__),
        answers: Mapping[str, str] = ANSWERS,
    ) -> None:
        """`folder` is on the disk that is to be checked."""
        self._folder = folder
        self._monotonic = monotonic
        self._program = program
        self._answers = answers
        self._failed = ""
        self._unanswered = 0
        self._process: subprocess.Popen[str] | None = None
        self._began_at = float("-inf")
        self._due_at = float("-inf")

    def failed(self) -> str:
        """What the machine failed in when it was asked last, in words; empty if in nothing."""
        now = self._monotonic()
        if self._process is not None:
            self._look(self._process, now)
        elif now >= self._due_at:
            self._begin(now)
        return self._failed

    def suspect(self) -> None:
        """Have the machine be asked soon."""
        self._due_at = min(self._due_at, self._began_at + SOON_S)

    def _begin(self, now: float) -> None:
        self._began_at, self._due_at = now, now + EVERY_S
        try:
            # It sees neither this process's environment nor any module but Python's own.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(self._program), str(self._folder)],
                env={},
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            # A machine that is full says nothing of what it computes.
            log.warning("node.not-checked reason=%s", error)
            self._due_at = now + AGAIN_S

    def _look(self, process: subprocess.Popen[str], now: float) -> None:
        code = process.poll()
        if code is None and now - self._began_at < LIMIT_S:
            return
        self._process = None
        if code is None:
            # It is not waited for: on a disk that hangs it cannot even be killed.
            process.kill()
            self._has_no_answer("within two minutes")
        elif code != 0:
            self._has_no_answer(f"and ended with {code}")
        else:
            assert process.stdout is not None
            with process.stdout:
                self._judge(json.load(process.stdout))

    def _judge(self, told: Mapping[str, str]) -> None:
        self._unanswered = 0
        wrong = [f"{name} ({answer[:60]})" for name, answer in told.items() if answer != self._answers[name]]
        self._failed = f"wrong where the answer is known: {', '.join(wrong)}" if wrong else ""
        if wrong:
            self.suspect()

    def _has_no_answer(self, how: str) -> None:
        self._unanswered += 1
        if self._unanswered > 1:
            self._failed = f"a program whose answers are known gave none {how}, and neither the time before"
        self._due_at = self._began_at + AGAIN_S
