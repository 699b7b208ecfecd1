"""Whether the hall is set up to last."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.adapters.launcher.slurm import NAME as SLURM
from modelhall.app.doctor.facts import Facts, Finding

DAY_S = 86400.0
FULL = 0.9


def home_lasts(facts: Facts) -> Iterator[Finding]:
    """Is the home on a disk."""
    if facts.in_memory:
        yield Finding(
            "now", "hall", f"the home {facts.settings.home} is in memory: a reboot takes all of it",
            "move it to a disk, with the hall down, and set MODELHALL_HOME",
        )  # fmt: skip


def disk_has_room(facts: Facts) -> Iterator[Finding]:
    """Has the home's disk room."""
    for node in facts.nodes():
        share, left = facts.figure(node, "disk_used_share"), facts.figure(node, "disk_left_s")
        if share is not None and share.value >= FULL:
            yield Finding(
                "now", node, f"{share.value:.0%} of the disk is taken; when it is full, writes are answered 507",
                "delete runs and versions that nobody needs, or enlarge it",
            )  # fmt: skip
        elif left is not None and left.value < DAY_S:
            yield Finding(
                "now", node, f"the disk is full in {left.value / 3600:.0f} h if it fills on like this",
                "see with `hall get runs` what writes so much",
            )  # fmt: skip


def machines_are_used(facts: Facts) -> Iterator[Finding]:
    """Is every machine used that is there."""
    for node in facts.machines:
        if node.status.blamed or node.status.state == "quarantined":
            yield Finding(
                "now", node.key.path, f"it is kept from work: {node.status.reason}",
                f"look at the machine; then `hall node uncordon {node.key.name}` has it used again",
            )  # fmt: skip


def another_can_take_over(facts: Facts) -> Iterator[Finding]:
    """Can another control plane take over."""
    if facts.settings.is_alone and len(facts.services) > 1:
        yield Finding(
            "someday", "hall", "nobody takes over when this machine is lost; services go on, changes wait",
            "a store in PostgreSQL (`store = \"postgresql://…\"`) lets a second `hall up` stand by",
        )  # fmt: skip


def root_key_is_elsewhere(facts: Facts) -> Iterator[Finding]:
    """Is the root key kept apart from what it opens."""
    if facts.settings.seal and not facts.settings.root_key:
        yield Finding(
            "soon", "hall", "the root key lies in the home, beside all that it opens: who copies one has the other",
            "keep it elsewhere (`root_key`, docs/sealing.md), and a copy of it where no fire reaches",
        )  # fmt: skip


def slurm_has_nodes(facts: Facts) -> Iterator[Finding]:
    """Is the Slurm cluster there that the settings name."""
    partitions = ", ".join(facts.settings.slurm_partitions)
    there = [node for node in facts.machines if node.status.launcher == SLURM and node.status.is_heard]
    if partitions and not there:
        yield Finding(
            "now", "hall", f"there is no node of Slurm's, in {partitions}",
            "see with `sinfo`, as the hall's user, what there is; `slurm_partitions` and `slurm_conf` say where",
        )  # fmt: skip


QUESTIONS = (
    home_lasts,
    disk_has_room,
    machines_are_used,
    another_can_take_over,
    root_key_is_elsewhere,
    slurm_has_nodes,
)
