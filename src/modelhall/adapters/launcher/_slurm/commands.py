"""Slurm's own commands, as the hall's user runs them: what is there, a job more, a job less.

Tables are asked for column by column and not as JSON: squeue 22.05 tells all jobs of everybody in JSON, whatever it
is asked, scontrol has no JSON before 23.02, and what is in it changes between versions.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence

from modelhall.adapters.launcher._slurm.jobs import Job
from modelhall.core.errors import Broken, NotNow

LONGEST_S = 20.0
"""A command that takes longer is ended."""
RETRY_S = 5.0
AWAY = (
    "unable to contact slurm controller",
    "connection refused",
    "in standby mode",
    "temporarily una",
    "no route to host",
)
"""What Slurm's commands say when nothing has come of them, and may later."""
UNCLEAR = ("timed out", "zero bytes were transmitted", "transport endpoint", "connection reset")
"""And what when something may have come of them all the same."""


class Unclear(NotNow):
    """Slurm has not answered, and may have done what it was asked to."""


class Commands:
    """Asks the Slurm that these commands reach. Raises NotNow when it cannot be asked, Broken when it refuses."""

    def __init__(
        self, *, environment: Mapping[str, str], partitions: Sequence[str], options: Sequence[str]
    ) -> None:
        """`environment` is the commands' own, and that of the jobs; `partitions` are those whose nodes are asked for,
        `options` more words for sbatch."""
        self._environment = dict(environment)
        self._partitions = tuple(partitions)
        self._options = tuple(options)

    def nodes(self) -> str:
        """A line for each node in each partition; columns as `nodes.read` takes them."""
        columns = ("NodeList", "Partition", "NodeAddr", "CPUs", "Memory", "Gres", "StateComplete", "Reason")
        return self._asked(
            "sinfo", "--Node", "--noheader", f"--partition={','.join(self._partitions)}", _table(columns)
        )

    def jobs(self) -> dict[str, Job]:
        """The jobs of this user that Slurm still knows, by name; of two of one name, one that is not over."""
        columns = ("JobID", "Name", "State", "Reason")
        table = self._asked("squeue", "--me", "--all", "--states=all", "--noheader", _table(columns))
        found: dict[str, Job] = {}
        for id, name, state, reason in rows(table, len(columns)):
            if name not in found or found[name].is_over:
                found[name] = Job(id, state, reason)
        return found

    def submit(self, script: str, words: Sequence[str]) -> None:
        """Queue a job. Raises Unclear when it may be queued."""
        self._asked(
            "sbatch", "--parsable", "--export=ALL", "--input=none", *words, *self._options, given=script
        )

    def cancel(self, jobs: Sequence[Job]) -> None:
        self._asked("scancel", "--quiet", *(job.id for job in jobs))

    def _asked(self, *words: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                words,
                input=given.encode(),
                capture_output=True,
                env=self._environment,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unclear(
                f"{words[0]} took longer than {LONGEST_S:g} s and was ended", delay_s=RETRY_S
            ) from None
        except OSError as error:
            message = (
                f"{words[0]} cannot be run: {error.strerror}; install Slurm's commands where the hall runs"
            )
            raise NotNow(message, delay_s=RETRY_S) from None
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        said = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        if any(words in said.lower() for words in UNCLEAR):
            raise Unclear(said, delay_s=RETRY_S)
        if any(words in said.lower() for words in AWAY):
            raise NotNow(said, delay_s=RETRY_S)
        raise Broken(f"{words[0]} says: {said}")


def _table(columns: Sequence[str]) -> str:
    """The option that has Slurm write these columns with `|` between them, each wide enough for what is in it."""
    return "--Format=" + ",".join(f"{column}:255|" for column in columns)


def rows(table: str, columns: int) -> Iterator[list[str]]:
    """The cells of each line; the last cell alone may have `|` in it. Lines of another shape are passed over."""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().removesuffix("|").split("|", columns - 1)]
        if len(cells) == columns:
            yield cells
