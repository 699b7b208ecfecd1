"""Text generation by an installed vLLM: paged keys and values, shared prefixes read once, GPUs.

vLLM pins versions of torch and of much else, so it is no library of the hall's: its command line is run, `vllm` on
the PATH or what `MODELHALL_VLLM` names, and asked by HTTP on loopback. It loads what a `convert` run left: weights
and configuration as transformers writes them, with no adapter beside them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from modelhall.core.errors import Rejected
from modelhall.serving.engines._aside import Aside
from modelhall.tasks import Task, Tells

EXTRA = "train"
CONVERTED_BY = ("torch", "transformers")
EXECUTABLE = "MODELHALL_VLLM"
"""The variable that names vLLM's command line; the hall passes it on to what it starts."""

_PROGRAM = "modelhall.serving.engines._vllm_server"


def convert(folder: Path, task: Task, into: Path) -> None:
    """The network in `folder` as transformers writes it. Raises Rejected for a task that tells no texts, and a family
    that is none of transformers'."""
    # Here and not above: a replica loads what comes of it, and not what it takes.
    from modelhall import networks

    if not isinstance(task, Tells):
        raise Rejected("vLLM tells texts, and this task does not; torch does every task", field="engine")
    network: Any = networks.load(folder)
    if not hasattr(network, "save_pretrained"):
        raise Rejected(
            "vLLM knows families of transformers, and this one is none; `engine: torch` serves every family",
            field="engine",
        )
    network.save_pretrained(into)


def generator(folder: Path, task: Task, *, threads: int, slots: int) -> Aside:
    """The converted network in `folder`, at most `slots` texts at once. Raises Rejected where there is no vLLM."""
    assert isinstance(task, Tells)
    # A replica is told by the hall's environment what is installed beside the hall.
    executable = shutil.which(os.environ.get(EXECUTABLE, "vllm"))
    if executable is None:
        raise Rejected(
            f"there is no {os.environ.get(EXECUTABLE, 'vllm')!r} on this node; install vLLM in an environment of its "
            f"own, and name its command line by {EXECUTABLE}",
            field="engine",
        )
    return Aside(
        _PROGRAM, executable=executable, folder=str(folder), threads=threads, slots=slots, reads=task.reads
    )
