"""A real machine of a hall: an agent that has joined as people have it join, in a folder of its own."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Sequence

import psutil
from real_hall import COMMAND, RealHall, environment, processes_in, said, until


class RealNode:
    """One agent and all it started; to kill them is to lose the machine."""

    def __init__(
        self, hall: RealHall, name: str, *, within: Sequence[str] = (), address: str = "127.0.0.1"
    ) -> None:
        """Put before its command, `within` has the agent be on a host of its own, where others reach it at
        `address`."""
        self.home = hall.home.with_name(f"{hall.home.name}-{name}")
        self.name = name
        self._hall = hall
        self._within = within
        self._address = address
        self._agent: subprocess.Popen[bytes] | None = None

    def join(self) -> RealNode:
        """Join with a ticket, and come back when the hall may use it."""
        ticket, *words = shlex.split(said(["node", "join", "--home", str(self._hall.home)]).out)
        assert words[:3] == ["hall", "node", "agent"]
        self._start(words[3:], ticket)
        until(self._is_ready, f"node {self.name} to be ready")
        return self

    def kill(self) -> None:
        """Kill -9 all that runs there, at once."""
        for process in processes_in(self.home):
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in processes_in(self.home):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._agent is not None:
            self._agent.wait()

    def again(self) -> None:
        """Start the agent again, as a machine does that has come up."""
        self._start([])

    def _start(self, words: list[str], *set_before: str) -> None:
        told = dict(word.split("=", 1) for word in set_before)
        with self.home.with_suffix(".log").open("ab") as log:
            self._agent = subprocess.Popen(
                [
                    *self._within, *COMMAND, "node", "agent", *words, "--name", self.name,
                    "--address", self._address, "--home", str(self.home),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**environment(), **told},
            )  # fmt: skip

    def _is_ready(self) -> bool:
        assert self._agent is not None
        if self._agent.poll() is not None:
            raise AssertionError(f"no agent: {self.home.with_suffix('.log').read_text()[-2000:]}")
        found = [node for node in self._hall.all("node") if node.key.name == self.name]
        return bool(found) and found[0].status.state == "ready"
