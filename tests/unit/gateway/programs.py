"""The gateway and its replicas as processes of their own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stand_ins import Caller

HERE = Path(__file__).parent


class Program:
    """A Python program that prints the address it serves."""

    def __init__(self, name: str, *arguments: object) -> None:
        command = [sys.executable, str(HERE / name), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def caller(self) -> Caller:
        host, port = self.address.split(":")
        return Caller(*await asyncio.open_connection(host, int(port)))


Start = Callable[..., Program]
