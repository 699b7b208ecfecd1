"""What is at work in the cluster itself. Actors have no CPU: what programs take is reserved by itself.

Ray takes the classes from the Modelhall that is installed on the node, and nothing but words goes to and fro.
"""

from __future__ import annotations

import socket
import subprocess
import sys

import ray
from ray._private.state import available_resources_per_node

from modelhall.adapters.launcher.ray.cluster import Agent
from modelhall.core.node_line import LEAVE, Posting
from modelhall.version import __version__

AGENT = "modelhall.doors.agent.posted"
"""The program; it is on a floor above this one."""
LEAVES_WITHIN_S = 60.0
LONGEST_WORD = 4096


class AgentKeeper:
    """Holds the agent of one node: it is there as long as this is."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._hall = ""
        self._problem = ""

    def post(self, said: str, version: str) -> None:
        """Have an agent be at work by this posting; one that is already leaves what it started to it. Raises
        ValueError when the hall is of another version."""
        if version != __version__:
            raise ValueError(f"Modelhall {__version__} is on the node, and the hall's is {version}")
        posting = Posting.model_validate_json(said)
        self._let_go()
        ours, theirs = socket.socketpair()
        with theirs:
            subprocess.run(
                [sys.executable, "-m", AGENT], stdin=theirs.fileno(), start_new_session=True, check=True
            )
        ours.sendall(posting.model_dump_json().encode() + b"\n")
        self._line, self._hall, self._problem = ours, posting.hall, ""

    def tell(self) -> str:
        """An `Agent` in JSON."""
        available = available_resources_per_node().get(ray.get_runtime_context().get_node_id())
        works = self._works()
        told = Agent(works=works, hall=self._hall, problem=self._problem, available=available)
        return told.model_dump_json()

    def _works(self) -> bool:
        if self._line is not None:
            self._line.setblocking(False)
            try:
                self._problem = self._line.recv(LONGEST_WORD).decode(errors="replace")
            except BlockingIOError:
                return True
            except ConnectionError:
                self._problem = ""
            self._line.close()
            self._line = None
        return False

    def _let_go(self) -> None:
        if self._line is None:
            return
        self._line.settimeout(LEAVES_WITHIN_S)
        try:
            self._line.sendall(LEAVE)
            self._line.recv(LONGEST_WORD)
        except ConnectionError:
            pass  # It is gone already.
        finally:
            self._line.close()
            self._line = None


class Holder:
    """Stands in a placement group that has GPUs, since Ray says which ones it gives only to what runs there."""

    def gpus(self) -> list[str]:
        found: list[str] = ray.get_runtime_context().get_accelerator_ids()["GPU"]
        return found
