"""Where the hall may make control groups: the folder `modelhall` in its own group, or nowhere.

In cgroup v2 a group with limits below it may hold no processes itself, so a hall that is alone in its group moves
into `modelhall/hall`. It is alone in a container of its own, as a systemd service with `Delegate=yes`, or under
`systemd-run --user --scope -p Delegate=yes hall up`; a shell beside it is not moved about, and there are no groups.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from modelhall.adapters.launcher.supervision.cgroup import Group
from modelhall.adapters.launcher.supervision.descendants import descendants

logger = logging.getLogger(__name__)

NAME, HALL = "modelhall", "hall"
CONTROLLERS = ("memory", "cpu")


@dataclass(frozen=True, kw_only=True)
class _Mount:
    root: str
    at: Path
    is_v2: bool
    options: frozenset[str]


class Subtree:
    """Where attempts' control groups go; found out when the first is needed, since it may move this process."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._found: list[Group | None] = []

    def of(self, name: str) -> Group | None:
        """The group `name`, yet to be made; None where there may be none."""
        with self._lock:
            if not self._found:
                self._found = [prepare() if self._wanted else None]
                logger.info("launcher.limits kept_by=%s", _described(self._found[0]))
        root = self._found[0]
        return root.below(name) if root else None


def prepare(proc: Path = Path("/proc/self")) -> Group | None:
    """Make the subtree attempts' groups go to; None where there may be none."""
    try:
        mounts = _mounts(proc / "mountinfo")
        own = _own_paths(proc / "cgroup")
    except OSError:
        return None
    return _v2(mounts, own) or _v1(mounts, own)


def _v2(mounts: list[_Mount], own: dict[str, str]) -> Group | None:
    mount = next((mount for mount in mounts if mount.is_v2), None)
    if mount is None or "" not in own:
        return None
    here = _folder(mount, own[""].removesuffix(f"/{NAME}/{HALL}"))
    try:
        offered = (here / "cgroup.controllers").read_text().split()
        if not set(CONTROLLERS) <= set(offered):
            return None
        subtree = here / NAME
        subtree.mkdir(exist_ok=True)
        _hand_down(here, moved_to=subtree / HALL)
        _hand_down(subtree)
    except OSError:
        return None
    return Group(version=2, memory=subtree, cpu=subtree, accounts=subtree)


def _hand_down(folder: Path, moved_to: Path | None = None) -> None:
    """Let groups in `folder` have limits. Raises OSError when that is not permitted."""
    wanted = " ".join(f"+{name}" for name in CONTROLLERS)
    try:
        (folder / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        if moved_to is None or not _move_all(folder, moved_to):
            raise
        (folder / "cgroup.subtree_control").write_text(wanted)


def _move_all(folder: Path, target: Path) -> bool:
    """Move this process and those it started out of `folder`; False when there are others."""
    mine = {os.getpid(), *descendants(os.getpid())}
    found = [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    if not found or not set(found) <= mine:
        return False
    target.mkdir(exist_ok=True)
    for pid in found:
        (target / "cgroup.procs").write_text(str(pid))
    return True


def _v1(mounts: list[_Mount], own: dict[str, str]) -> Group | None:
    found: dict[str, Path] = {}
    for controller, part in (("memory", "memory"), ("cpu", "cpu"), ("cpuacct", "accounts")):
        mount = next((m for m in mounts if not m.is_v2 and controller in m.options), None)
        if mount is None or controller not in own:
            continue
        subtree = _folder(mount, own[controller]) / NAME
        try:
            subtree.mkdir(exist_ok=True)
        except OSError:
            continue
        if os.access(subtree / "cgroup.procs", os.W_OK):
            found[part] = subtree
    return Group(version=1, **found) if found else None


def _mounts(path: Path) -> list[_Mount]:
    """The mounted hierarchies; see `man 5 proc`, mountinfo."""
    found = []
    for line in path.read_text().splitlines():
        before, _, after = line.partition(" - ")
        sort, _, options = after.split(" ", 2)
        if sort in ("cgroup", "cgroup2"):
            root, at = map(_unescaped, before.split(" ")[3:5])
            is_v2 = sort == "cgroup2"
            found.append(_Mount(root=root, at=Path(at), is_v2=is_v2, options=frozenset(options.split(","))))
    return found


def _own_paths(path: Path) -> dict[str, str]:
    """This process's group in the hierarchy of each controller; that of v2 is named ''."""
    lines = [line.split(":", 2) for line in path.read_text().splitlines()]
    return {controller: where for _, controllers, where in lines for controller in controllers.split(",")}


def _folder(mount: _Mount, group: str) -> Path:
    """Where a group is seen from here. In a container only a part of the hierarchy may be mounted."""
    root = mount.root.rstrip("/")
    if group != root and not group.startswith(f"{root}/"):
        return mount.at
    return mount.at / group[len(root) :].strip("/")


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _described(group: Group | None) -> str:
    if group is None:
        return "looking"
    parts = [name for name in ("memory", "cpu", "accounts") if getattr(group, name) is not None]
    return f"cgroup-v{group.version}:{'+'.join(parts)}"
