"""The agent that a launcher has put on a machine: `python -m modelhall.doors.agent.posted`.

Whoever puts it there holds the other end of its standard input, says in one line whose it is (`core/node_line.py`,
Posting), and is there as long as the machine is the hall's. When that end closes, it no longer is: all that is at
work here is ended, and the agent with it. Told to leave, the agent ends alone, for another to go on with its work.
When it ends by itself it says why, so whoever holds that end sees that it is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from modelhall import settings
from modelhall.core import files
from modelhall.core.errors import HallError
from modelhall.core.node_line import LEAVE, Posting
from modelhall.doors.agent import running
from modelhall.doors.agent.home import AgentHome, Membership
from modelhall.doors.agent.worker import Worker

FOLDER = "posted"
"""Within the home of the machine's user: a folder for each agent that is put here."""
END_GRACE_S = 5.0
"""How long programs have when the machine is taken away."""


def main() -> None:
    # Whoever started this may be killed with all its children; what has no parent is told by its line instead.
    if os.fork():
        os._exit(0)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    line = socket.socket(fileno=os.dup(0))
    told = Posting.model_validate_json(line.makefile("rb").readline())
    try:
        asyncio.run(_work(told, line))
    except HallError as error:
        line.sendall(str(error).encode())


async def _work(told: Posting, line: socket.socket) -> None:
    chosen = settings.load()
    home = AgentHome(chosen.home / FOLDER / told.place)
    membership = Membership(hall=told.hall, name=told.node, token=told.token)
    with home.lock():
        if told.ca is not None:
            files.write_bytes(home.ca, told.ca.encode())
        await running.run(
            home, membership, chosen, address=told.address, until=lambda worker: _taken_away(worker, line)
        )


async def _taken_away(worker: Worker, line: socket.socket) -> None:
    line.setblocking(False)
    word = await asyncio.get_running_loop().sock_recv(line, len(LEAVE))
    if word != LEAVE:
        await worker.end_all(END_GRACE_S)


if __name__ == "__main__":
    main()
