"""A real Slurm cluster for tests: found or installed, two nodes of this machine, GPUs that are none, stopped at the
end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from from_debian import found_or_installed

START_S = 200.0
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
# Nodes have more processors here than the machine has.
SlurmdParameters=config_overrides
SlurmctldParameters=node_reg_mem_percent=0
ReturnToService=2
KillWait=5
# What could not start when it was submitted is looked at again soon, not after half a minute or a whole one.
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
# A busy machine may take its time; a node is down when the controller is told so.
SlurmdTimeout=300
MessageTimeout=60
NodeName=a1 NodeHostname={host} NodeAddr=127.0.0.1 Port={a1} CPUs=8 RealMemory=8000 Gres=gpu:h100:2
NodeName=a2 NodeHostname={host} NodeAddr=127.0.0.1 Port={a2} CPUs=8 RealMemory=8000
PartitionName=one Nodes=a1 State=UP Default=YES
PartitionName=both Nodes=a1,a2 State=UP
"""
GRES = "NodeName=a1 Name=gpu Type=h100 File={folder}/nvidia[0-1]\n"
STATE = "state/job_state"
NULL = os.makedev(1, 3)


@contextlib.contextmanager
def running() -> Iterator[RealSlurm]:
    """A cluster that runs until the block ends. Raises LookupError with one line when there cannot be one."""
    if os.geteuid() != 0:
        raise LookupError("slurmd wants to be root, who may start programs as others")
    found_or_installed("slurmctld", lambda: shutil.which("slurmctld"))
    found_or_installed("slurmd", lambda: shutil.which("slurmd"))
    found_or_installed("slurm-client", lambda: shutil.which("sbatch"))
    with tempfile.TemporaryDirectory(prefix="hall-slurm-", ignore_cleanup_errors=True) as folder:
        cluster = RealSlurm(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


class RealSlurm:
    """One controller and the nodes `a1`, which says that it has two GPUs, and `a2`; partition `one` has the first,
    `both` has both. Whoever asks is believed to be who he says, on loopback, while the test runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._saved = 0
        self.conf = folder / "slurm.conf"
        ports = dict(zip(("port", "a1", "a2"), _free_ports(3), strict=True))
        host = socket.gethostname().partition(".")[0]
        told = {"folder": folder, "user": "root", "host": host, **ports}
        self.conf.write_text(CONF.format(**told))
        (folder / "gres.conf").write_text(GRES.format(folder=folder))
        for number in range(2):
            os.mknod(folder / f"nvidia{number}", 0o666 | stat.S_IFCHR, NULL)

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands need to find this cluster."""
        return {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start all of it, and come back when both nodes are idle."""
        self.start_controller()
        for node in ("a1", "a2"):
            self.start_node(node)
        self.wait(lambda: self.states() == {"a1": "idle", "a2": "idle"}, "idle nodes")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self.wait(lambda: self._said("sinfo", "--noheader") != "", "a controller that answers")

    def start_node(self, name: str) -> None:
        (self._folder / f"spool-{name}").mkdir(exist_ok=True)
        self._start(name, "slurmd", "-D", "-N", name, "-f", str(self.conf))

    def kill(self, name: str) -> None:
        """Kill -9 the controller (`slurmctld`) or the daemon of a node; jobs have daemons of their own."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def saved(self) -> bytes:
        """The jobs that the controller has on its disk, once all that it knows of now are there.

        It writes them down every few seconds. Killed before, it forgets some, and gives their numbers to others.
        """
        self._saved += 1
        name = f"saved-{self._saved}"
        self.ask("sbatch", "--hold", f"--job-name={name}", "--output=/dev/null", "--wrap=true")
        state = b""

        def has_it() -> bool:
            nonlocal state
            with contextlib.suppress(FileNotFoundError):  # while the next one takes its place
                state = (self._folder / STATE).read_bytes()
            return name.encode() in state

        self.wait(has_it, "the controller to write down a job")
        return state

    def go_back_to(self, saved: bytes) -> None:
        """Start the controller, which was killed, with the jobs that it once had on its disk."""
        (self._folder / STATE).write_bytes(saved)
        self.start_controller()

    def lose(self, name: str) -> None:
        """Have a node be down, as Slurm does itself once it has not heard of it for long enough; what runs there is
        left to go on."""
        self.kill(name)
        self.ask("scontrol", "update", f"nodename={name}", "state=down", "reason=power | gone")

    def ask(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def states(self) -> dict[str, str]:
        """The state of each node, in one word."""
        lines = self._said("sinfo", "-N", "-h", "-p", "both", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)  # type: ignore[misc]

    def state(self, job: str) -> str:
        """The state of the job with this name; empty when there is none."""
        return self._said("squeue", "-h", "-t", "all", "-n", job, "-o", "%T")

    def clear(self) -> None:
        """Have no job, the controller up, and both nodes as at the start."""
        if "slurmctld" not in self._processes:
            self.start_controller()
        self._said("scancel", "--me")
        for node in ("a1", "a2"):
            if node not in self._processes:
                self.start_node(node)
            if self.states()[node].startswith(("down", "drain")):
                self._said("scontrol", "update", f"nodename={node}", "state=resume")
        self.wait(lambda: self.states() == {"a1": "idle", "a2": "idle"}, "idle nodes")

    def wait(self, true: object, what: str) -> None:
        deadline = time.monotonic() + START_S
        while not true():  # type: ignore[operator]
            if time.monotonic() > deadline:
                logs = [path.read_text(errors="replace")[-600:] for path in self._folder.glob("*.log")]
                raise LookupError(f"waited {START_S:g} s for {what}: {logs}")
            time.sleep(0.05)

    def end(self) -> None:
        """Cancel what there is, and stop all of it."""
        if "slurmctld" in self._processes:
            self._said("scancel", "--me")
            with contextlib.suppress(LookupError):
                self.wait(lambda: self._said("squeue", "-h", "-w", "a1,a2") == "", "the end of all jobs")
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, *words: str) -> None:
        with (self._folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment
            )

    def _said(self, *words: str) -> str:
        """The same as `ask`, and nothing when there is no answer."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as until_all_are_found:
        sockets = [until_all_are_found.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
