"""Files between a node and its hall: what programs ask for comes, what they make and leave goes.

Contents move sealed, as they lie. Of a run's state the hall has the newest that was brought: an attempt on another
node goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.adapters.blobs.node import Marks, is_here
from modelhall.core import files
from modelhall.core.errors import HallError, Rejected
from modelhall.doors.agent.home import AgentHome, KnownRun
from modelhall.doors.agent.line import Line

log = logging.getLogger(__name__)

LOOK_S = 0.2
RETRY_S = 1.0


class Its(NamedTuple):
    """An attempt, as files are moved for it."""

    uid: str
    number: int
    run: KnownRun

    @property
    def asked(self) -> dict[str, str]:
        return {"project": self.run.project, "run": self.run.run, "attempt": str(self.number)}


Version = tuple[int, int]
"""Size and time of a file."""


class Moving:
    """The files of one node. `run` is to go on as long as the agent does."""

    def __init__(self, home: AgentHome, line: Line, alive: Callable[[], list[Its]]) -> None:
        """`alive` tells the attempts that are at work."""
        self._home = home
        self._line = line
        self._alive = alive
        self._brought: dict[str, dict[str, Version]] = {}
        """Of each run, by path: the files of its state that the hall has."""

    async def run(self) -> None:
        """Fetch and bring, for ever."""
        while True:
            for project in self._home.projects():
                await self._tried(self._move_contents, project)
            for its in self._alive():
                await self._tried(self._bring_state, its)
            await asyncio.sleep(LOOK_S)

    async def begin(self, its: Its) -> None:
        """Have the state of a run here before an attempt of it starts. Raises NotNow."""
        await asyncio.to_thread(self._fetch_state, its)

    async def finish(self, its: Its) -> None:
        """Have all that an attempt has made be at the hall, before it is said to be over; however long that takes.
        One that the hall has given up meanwhile has nothing to bring."""
        while True:
            try:
                await asyncio.to_thread(self._bring_all, its)
                return
            except Rejected as error:
                log.warning("agent.not-brought run=%s attempt=%d reason=%s", its.run.run, its.number, error)
                return
            except (HallError, OSError) as error:
                log.warning("agent.brings-later run=%s reason=%s", its.run.run, error)
                await asyncio.sleep(RETRY_S)

    def forget(self, uid: str) -> None:
        self._brought.pop(uid, None)

    async def _tried(self, move: Callable[..., None], what: object) -> None:
        """What cannot be moved now is moved at a later look."""
        try:
            await asyncio.to_thread(move, what)
        except (HallError, OSError) as error:
            log.warning("agent.not-moved what=%s reason=%s", what, error)
            await asyncio.sleep(RETRY_S)

    def _move_contents(self, project: str) -> None:
        marks, blobs = self._of(project)
        for digest in marks.wanted():
            try:
                self._fetch(project, digest, blobs)
            except Rejected as error:
                marks.never(digest, error.message)
            else:
                marks.came(digest)
        self._bring_made(project)

    def _fetch(self, project: str, digest: str, blobs: FolderBlobs) -> None:
        if not is_here(blobs, digest):
            for name in self._line.objects(project, digest):
                blobs.put_kept(name, self._line.fetch(project, name))

    def _bring_made(self, project: str) -> None:
        marks, blobs = self._of(project)
        for digest in marks.made():
            if not self._line.has(project, digest):
                for one in blobs.kept(digest):
                    with blobs.open_kept(one.name) as file:
                        self._line.bring(project, one.name, file)
            marks.brought(digest)

    def _bring_all(self, its: Its) -> None:
        self._bring_made(its.run.project)
        self._bring_state(its)

    def _fetch_state(self, its: Its) -> None:
        """What was brought last is the newest there is, unless the attempt before this one was here, too."""
        folder = self._home.state(its.uid)
        if its.number - 1 in self._home.attempts(its.uid):
            return
        there = self._line.states(its.asked)
        shutil.rmtree(folder, ignore_errors=True)
        for path in there:
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write_pieces(place, self._line.fetch_state(its.asked, path))
        self._brought[its.uid] = _versions(folder)

    def _bring_state(self, its: Its) -> None:
        folder = self._home.state(its.uid)
        before, now = self._brought.get(its.uid), _versions(folder)
        if before is None:
            before = dict.fromkeys(self._line.states(its.asked), (-1, -1))
        # In the order in which they were written: what a file speaks of is there before it.
        for path, version in sorted(now.items(), key=lambda one: one[1][1]):
            if before.get(path) != version:
                try:
                    with (folder / path).open("rb") as file:
                        self._line.bring_state(its.asked, path, file)
                except FileNotFoundError:
                    del now[path]  # it has gone meanwhile
        for path in before.keys() - now.keys():
            self._line.remove_state(its.asked, path)
        self._brought[its.uid] = now

    def _of(self, project: str) -> tuple[Marks, FolderBlobs]:
        root: Path = self._home.blobs(project)
        return Marks(root), FolderBlobs(root)


def _versions(folder: Path) -> dict[str, Version]:
    """The files of a state. What begins with a point is on its way to be one."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        try:
            if path.is_file():
                told = path.stat()
                found[name.as_posix()] = (told.st_size, told.st_mtime_ns)
        except FileNotFoundError:
            continue
    return found
