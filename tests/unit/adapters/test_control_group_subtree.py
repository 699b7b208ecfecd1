"""Control groups are made below the hall's own, where the machine permits it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhall.adapters.launcher.supervision import cgroup, subtree
from modelhall.adapters.launcher.supervision.cgroup import Group, Usage


class Machine:
    """A /proc/self and hierarchies of files, as a kernel would show them."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.proc.mkdir()
        self.at = folder / "cgroup"
        self._mounts: list[str] = []
        self._groups: list[str] = []

    def mount(self, place: str, sort: str, options: str, *, root: str = "/") -> Path:
        at = self.at / place
        at.mkdir(parents=True)
        shown = str(at).replace(" ", "\\040")
        self._mounts.append(f"33 31 0:28 {root} {shown} rw,relatime shared:9 - {sort} {sort} {options}")
        (self.proc / "mountinfo").write_text("\n".join(self._mounts) + "\n")
        return at

    def place(self, controllers: str, group: str) -> None:
        self._groups.append(f"{len(self._groups)}:{controllers}:{group}")
        (self.proc / "cgroup").write_text("\n".join(self._groups) + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_in_v2_they_go_below_the_halls_own_group(machine: Machine) -> None:
    own = machine.mount("all of it", "cgroup2", "rw") / "user" / "hall.scope"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    machine.place("", "/user/hall.scope")
    here = own / "modelhall"
    assert subtree.prepare(machine.proc) == Group(version=2, memory=here, cpu=here, accounts=here)
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (here / "cgroup.subtree_control").read_text() == "+memory +cpu"


def test_a_hall_that_moved_aside_before_finds_the_same_place(machine: Machine) -> None:
    own = machine.mount("v2", "cgroup2", "rw") / "hall.service"
    own.mkdir()
    (own / "cgroup.controllers").write_text("cpu memory\n")
    machine.place("", "/hall.service/modelhall/hall")
    found = subtree.prepare(machine.proc)
    assert found is not None
    assert found.memory == own / "modelhall"


def test_without_the_controllers_in_v2_those_of_v1_are_taken(machine: Machine) -> None:
    (machine.mount("unified", "cgroup2", "rw") / "cgroup.controllers").write_text("hugetlb\n")
    memory = machine.mount("memory", "cgroup", "rw,memory", root="/docker/abc")
    both = machine.mount("cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    for at in (memory, both):
        (at / "modelhall").mkdir()
        (at / "modelhall" / "cgroup.procs").touch()
    machine.place("memory", "/docker/abc")
    machine.place("cpu,cpuacct", "/")
    machine.place("", "/")
    here = both / "modelhall"
    assert subtree.prepare(machine.proc) == Group(
        version=1, memory=memory / "modelhall", cpu=here, accounts=here
    )


def test_where_nothing_is_permitted_there_are_none(machine: Machine) -> None:
    assert subtree.prepare(machine.proc) is None
    own = machine.mount("v2", "cgroup2", "rw")
    machine.place("", "/")
    (own / "cgroup.controllers").write_text("cpu memory\n")
    (own / "cgroup.subtree_control").mkdir()  # so that writing to it fails
    (own / "cgroup.procs").write_text("1\n")
    assert subtree.prepare(machine.proc) is None


def test_the_limits_of_v2_are_of_the_whole_group_and_without_swap(tmp_path: Path) -> None:
    asked = Group(version=2, memory=tmp_path, cpu=tmp_path, accounts=tmp_path)
    for name in ("memory.swap.max", "memory.oom.group"):
        (tmp_path / name).touch()
    assert cgroup.make(asked, memory_bytes=2**30, cpus=2) == asked
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {
        "memory.max": str(2**30), "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "220000 100000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("events", "out_of_memory"),
    [("max 7\noom_kill 1", True), ("max 0\noom_kill 1", False), ("max 7\noom_kill 0", False), ("", False)],
)
def test_a_group_is_out_of_memory_when_it_was_killed_at_its_own_limit(
    tmp_path: Path, events: str, out_of_memory: bool
) -> None:
    (tmp_path / "memory.events").write_text(f"low 0\nhigh 0\n{events}\n")
    (tmp_path / "memory.peak").write_text("4096\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    found = cgroup.usage(Group(version=2, memory=tmp_path, cpu=tmp_path, accounts=tmp_path))
    assert found == Usage(cpu_s=1.5, peak_bytes=4096, out_of_memory=out_of_memory)


def test_a_limit_that_is_not_permitted_is_left_out_of_what_was_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    asked = Group(version=1, memory=tmp_path / "file" / "no", cpu=tmp_path / "cpu", accounts=tmp_path / "cpu")
    made = cgroup.make(asked, memory_bytes=2**30, cpus=1)
    assert (made.memory, made.cpu) == (None, tmp_path / "cpu")


def test_a_group_is_the_same_after_it_was_written_down() -> None:
    group = Group(version=1, memory=Path("/a"), accounts=Path("/b"))
    assert cgroup.from_json(group.as_json()) == group
    for nonsense in ({}, {"version": "x", "memory": None, "cpu": None, "accounts": None}, {"version": 1}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            cgroup.from_json(nonsense)
