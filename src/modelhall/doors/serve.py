"""`hall up` from the inside: one process for control and API, one for the gateway; and `hall down`.

In a home one control plane leads, and holds its lock. Others may stand by on the same store, and take over when it is
gone (`control/leadership.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from modelhall.app import gateway, home
from modelhall.app.listening import listening_of
from modelhall.core import failpoints, files
from modelhall.core.entrance import bind
from modelhall.core.errors import Broken, Rejected
from modelhall.doors.front import Front
from modelhall.settings import Settings
from modelhall.trust.tokens import first_token

if TYPE_CHECKING:
    from modelhall.app.hall import Hall

STOP_S = 35.0
GC_THRESHOLDS = (50_000, 20, 100)


async def up(settings: Settings, announce: Callable[[Hall], None], *, standby: bool = False) -> None:
    """Run the control plane until it is told to end; `announce` is called when all of it answers.

    Raises Rejected when the home is in use or cannot be written, a port is taken, or nobody can stand by.
    """
    if standby and settings.is_alone:
        raise Rejected(
            "a SQLite store has one control plane; to have another one stand by, give both a store that they can "
            "share, such as MODELHALL_STORE=postgresql://…"
        )
    failpoints.arm(settings.failpoints)
    listening = listening_of(settings, time.time())
    with _place(settings.home, standby=standby), bind(listening.address, settings.port) as bound:
        home.lay_out(settings.home)
        first_token(settings.home)
        front = Front(settings)
        front.start()
        failpoints.reach("serve.gateway-started")
        # Imported while the gateway starts on another core: it is half of the time until the hall answers. What is
        # imported stays, and need not be gone through by the collector on the way.
        gc.disable()
        from modelhall.doors import control_plane

        gc.freeze()
        # A thousand watchers are a hundred thousand objects, which would wait while they are gone through so often.
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        await control_plane.run(settings, front, listening, bound, announce, standby=standby)


def down(settings: Settings) -> bool:
    """Stop the hall in `settings.home`, and what it left running if it was killed; False when nothing ran.

    Raises Broken when it does not end in time.
    """
    for file in settings.home.glob(home.STANDBY_FILES):
        _stop_process(int(file.stem.partition("-")[2]))
        file.unlink(missing_ok=True)
    running = files.read_json(settings.home / home.HALL_FILE)
    if running is not None and home.is_locked(settings.home):
        _stop_process(running["pid"])
        return True
    if not (settings.home / "lock").exists():
        return False
    return asyncio.run(_clear_up(settings))


def _stop_process(pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise Broken(f"the hall (process {pid}) does not end; `kill -9 {pid}` ends it")
            time.sleep(0.05)


async def _clear_up(settings: Settings) -> bool:
    """Stop what a hall that was killed has left running."""
    # Imported here because a hall that is up is stopped without.
    from modelhall.app.hall import Hall

    with home.lock(settings.home):
        hall = Hall(settings)
        left = gateway.find(settings.home) is not None
        await hall.stop_runs()
        await hall.close()
        Front(settings).stop()
        (settings.home / home.HALL_FILE).unlink(missing_ok=True)
        return left


@contextlib.contextmanager
def _place(folder: Path, *, standby: bool) -> Iterator[None]:
    """The home for this process: to lead in, under its lock, or to stand by in."""
    if not standby:
        with home.lock(folder):
            yield
        return
    file = home.standby_file(folder)
    files.write_json(file, {"pid": os.getpid()})
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
