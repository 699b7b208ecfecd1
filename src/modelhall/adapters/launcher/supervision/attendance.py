"""What a supervisor does while its program runs: keep its output, its time, its memory, and listen for a stop.

All in one thread that sleeps until something happens: output, the end of a process, a signal, a time that is over.
Times are counted by the monotonic clock, which nobody sets.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import time
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher.supervision.afar import Afar
from modelhall.adapters.launcher.supervision.descendants import children
from modelhall.adapters.launcher.supervision.limits import Limits
from modelhall.adapters.launcher.supervision.log import LogWriter
from modelhall.core import failpoints

STOP = "stop.json"
STOP_GRACE_S = 10.0
"""How long a program has to end when nobody says."""
LOOK_EVERY_S = 0.2
KILL_AGAIN_S = 1.0
END_WITHIN_S = 5.0
"""How long is waited for killed processes; one that the kernel cannot end, such as in a hung mount, is left."""
LONGEST_SLEEP_S = 3600.0
READ_BYTES = 65_536


class Bell:
    """Signals as something to wait for beside others."""

    def __init__(self) -> None:
        self.descriptor, ringing = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(ringing, False)
        signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
        self._is_asked_to_end = False
        signal.signal(signal.SIGTERM, self._ask_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def silence(self) -> None:
        """Take in the rings so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, 512):
                pass

    def take_asked_to_end(self) -> bool:
        """Whether somebody has asked for the end since this was last asked."""
        asked, self._is_asked_to_end = self._is_asked_to_end, False
        return asked

    def _ask_to_end(self, *_: Any) -> None:
        self._is_asked_to_end = True


class Attendance:
    """One program from its start until nothing of it is left."""

    def __init__(
        self,
        *,
        folder: Path,
        launch: dict[str, Any],
        pid: int,
        output: int,
        limits: Limits,
        log: LogWriter,
        bell: Bell,
    ) -> None:
        self.timed_out = False
        self.was_stopped = False
        self._folder = folder
        self._launch = launch
        self._pid = pid
        self._output = output
        self._limits = limits
        self._log = log
        self._bell = bell
        self._was_told_to_end = False
        now = time.monotonic()
        self._times_out_at = now + (launch["timeout_s"] or math.inf)
        self._looks_at = now + LOOK_EVERY_S if limits.need_looking else math.inf
        self._kills_at = math.inf
        self._afar = Afar(folder, launch["afar_look_s"])
        os.set_blocking(output, False)
        self._poll = select.poll()
        self._poll.register(output, select.POLLIN)
        self._poll.register(bell.descriptor, select.POLLIN)

    def until_over(self) -> int:
        """Attend to the program until it and all it left have ended; returns its wait status."""
        if (self._folder / STOP).exists():
            self._stop()
        while not self._has_ended():
            self._sleep()
            if self._bell.take_asked_to_end() or self._is_told_from_afar():
                self._stop()
            self._keep_to_limits(time.monotonic())
        failpoints.reach("supervisor.child-ended")
        status = self._end_rest()
        # All who could write are gone, so what the pipe holds now is the rest; whoever else has got hold of it is
        # not waited for.
        while data := self._read_output():
            self._log.write(data)
        return status

    def _sleep(self) -> None:
        """Wait for the next thing to happen, and take in output."""
        until = min(self._times_out_at, self._looks_at, self._kills_at, self._afar.looks_at)
        wait_s = min(max(0.0, until - time.monotonic()), LONGEST_SLEEP_S)
        ready = self._poll.poll(math.ceil(wait_s * 1000))
        self._bell.silence()
        if not any(descriptor == self._output for descriptor, _ in ready):
            return
        data = self._read_output()
        if data == b"":
            self._poll.unregister(self._output)
        elif data is not None:
            self._log.write(data)

    def _read_output(self) -> bytes | None:
        """A piece of output; None when there is none now, empty when there never will be any more."""
        try:
            return os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return None

    def _has_ended(self) -> bool:
        """Wait for whoever has ended. The program itself stays a zombie, so that its number stays its own."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == self._pid:
                return True
            os.waitpid(ended.si_pid, 0)
        return False

    def _is_told_from_afar(self) -> bool:
        """Whether a hall that cannot ring has left word to stop."""
        now = time.monotonic()
        if now < self._afar.looks_at:
            return False
        self._afar.look(now)
        return (self._folder / STOP).exists()

    def _keep_to_limits(self, now: float) -> None:
        if now >= self._times_out_at:
            self._times_out_at = math.inf
            self.timed_out = True
            self._log.say(f"ended after {self._launch['timeout_s']:g} s, its timeout_s")
            self._end_gently(self._launch["timeout_grace_s"])
        if now >= self._kills_at:
            self._kills_at = now + KILL_AGAIN_S
            self._kill()
        if now >= self._looks_at:
            self._looks_at = now + LOOK_EVERY_S
            if self._limits.are_exceeded():
                self._log.say(f"ended for using all of its memory, {self._launch['memory_bytes']} bytes")
                self._looks_at, self._kills_at = math.inf, now + KILL_AGAIN_S
                self._kill()

    def _stop(self) -> None:
        self.was_stopped = True
        grace_s = STOP_GRACE_S
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            grace_s = float(json.loads((self._folder / STOP).read_bytes())["grace_s"])
        self._end_gently(grace_s)

    def _end_gently(self, grace_s: float) -> None:
        """Ask the program's processes to end, once, and set the time when they are ended."""
        if not self._was_told_to_end:
            self._was_told_to_end = True
            self._signal_group(signal.SIGTERM)
        # Asking again does not put it off.
        self._kills_at = min(self._kills_at, time.monotonic() + grace_s)

    def _kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        self._limits.kill()
        self._kill_children()

    def _end_rest(self) -> int:
        """End what the ended program has left, wherever it has got to; returns the program's wait status."""
        self._kill()
        _, status = os.waitpid(self._pid, 0)
        deadline = time.monotonic() + END_WITHIN_S
        while self._has_children() and time.monotonic() < deadline:
            self._kill_children()
            time.sleep(0.005)
        return status

    def _kill_children(self) -> None:
        # Only processes whose parent this is: no other process can have got their numbers. Whoever is below them
        # becomes a child in turn.
        for pid in children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _has_children(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return True
        return False

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)
