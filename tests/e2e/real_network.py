"""Hosts of a network that is within this machine: namespaces, on one switch that is another.

Each namespace belongs to a process that ends when this one does, however that is, and what is in a namespace goes
with it. The machine has one interface more for so long; nothing else of its own network is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

NETWORK = "10.213.77"
OWN = f"{NETWORK}.1"
"""Where hosts reach the machine."""
COMMANDS = ("ip", "tc", "unshare", "nsenter")
BAD_LINES = (
    "netem delay 30ms 10ms loss 1%",
    # Where the kernel does not have that: a narrow line, which drops what has to wait for long.
    "tbf rate 20mbit burst 16kb latency 30ms",
)


@contextlib.contextmanager
def running() -> Iterator[RealNetwork]:
    """A network without hosts, until the block ends. Raises LookupError with one line when there cannot be one."""
    if os.geteuid() != 0:
        raise LookupError("network namespaces want root")
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise LookupError(f"there is no command {missing[0]}; iproute2 and util-linux have them")
    if taken := _routes():
        raise LookupError(f"the machine has a network there already: {taken[0]}")
    with contextlib.ExitStack() as until_the_end:
        yield RealNetwork(until_the_end)


class RealNetwork:
    """A switch, to which this machine and some hosts are connected."""

    def __init__(self, until_the_end: contextlib.ExitStack) -> None:
        self._until_the_end = until_the_end
        self._switch = Namespace(until_the_end)
        self._switch.ask("ip", "link", "add", "switch", "type", "bridge")
        self._switch.ask("ip", "link", "set", "switch", "up")
        own = f"hall{os.getpid()}"
        _ask("ip", "link", "add", own, "type", "veth", "peer", "name", "own", "netns", self._switch.pid)
        until_the_end.callback(_said, "ip", "link", "del", own)
        _ask("ip", "address", "add", f"{OWN}/24", "dev", own)
        _ask("ip", "link", "set", own, "up")
        self._connect("own")
        self._hosts = 0

    def host(self) -> RealHost:
        """One host more, at an address of its own."""
        self._hosts += 1
        space, line = Namespace(self._until_the_end), f"line{self._hosts}"
        self._switch.ask(
            "ip", "link", "add", line, "type", "veth", "peer", "name", "eth0", "netns", space.pid
        )
        address = f"{NETWORK}.{10 + self._hosts}"
        space.ask("ip", "address", "add", f"{address}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            space.ask("ip", "link", "set", name, "up")
        self._connect(line)
        return RealHost(space, self._switch, line, address)

    def _connect(self, line: str) -> None:
        self._switch.ask("ip", "link", "set", line, "master", "switch", "up")


class RealHost:
    """One namespace, with one line to the switch."""

    def __init__(self, space: Namespace, switch: Namespace, line: str, address: str) -> None:
        self.address = address
        self.within = space.within
        """What is put before a command to have it run there."""
        self._space = space
        self._switch = switch
        self._line = line

    def cut(self) -> None:
        """Pull the cable: nothing is told that anybody is gone."""
        self._switch.ask("ip", "link", "set", self._line, "down")

    def mend(self) -> None:
        self._switch.ask("ip", "link", "set", self._line, "up")

    def have_bad_line(self) -> None:
        """Have its line delay and lose packets both ways, in whichever way the kernel can, if any."""
        for space, end in ((self._space, "eth0"), (self._switch, self._line)):
            for how in BAD_LINES:
                if space.can("tc", "qdisc", "add", "dev", end, "root", *how.split()):
                    break


class Namespace:
    """A network namespace that is there as long as the process in it, which waits for the end of its input."""

    def __init__(self, until_the_end: contextlib.ExitStack) -> None:
        keeper = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        until_the_end.callback(keeper.communicate)
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if not keeper.stdout.readline():
            raise LookupError(keeper.stderr.read().decode().strip())
        self.pid = str(keeper.pid)
        self.within = ["nsenter", f"--net=/proc/{keeper.pid}/ns/net", "--"]

    def ask(self, *words: str) -> None:
        _ask(*self.within, *words)

    def can(self, *words: str) -> bool:
        return _run(*self.within, *words).returncode == 0


def _routes() -> list[str]:
    """What the machine's own network has, or is a part of, of the addresses wanted here."""
    shown = [_said("ip", "route", "show", how, f"{NETWORK}.0/24") for how in ("match", "root")]
    return [line for lines in shown for line in lines.splitlines() if not line.startswith("default")]


def _ask(*words: str) -> None:
    done = _run(*words)
    if done.returncode != 0:
        raise LookupError(f"{' '.join(words)}: {done.stderr.strip()}")


def _said(*words: str) -> str:
    return _run(*words).stdout.strip()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)
