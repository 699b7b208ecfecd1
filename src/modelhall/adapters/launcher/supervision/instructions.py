"""What a supervisor is told of its attempt: `launch.json`, and nothing else of the hall."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher.supervision import log
from modelhall.adapters.launcher.supervision.cgroup import Group
from modelhall.adapters.launcher.supervision.descendants import MARK
from modelhall.core.ports.launcher import Launch


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """How supervisors keep their attempts."""

    segment_bytes: int = log.SEGMENT_BYTES
    """Where the log is cut; the newest few pieces are kept."""
    timeout_grace_s: float = 10.0
    """How long a program has to end once it has run too long."""
    groups: bool = True
    """Whether to use control groups where they are permitted."""
    afar_look_s: float | None = None
    """How often they look for a stop and write down what is taken, for a hall on another machine (`afar`)."""
    inherits: tuple[str, ...] = ()
    """Variables of the supervisor's own environment that its program has, too, in place of what it was told."""


def instructions(
    launch: Launch,
    folder: Path,
    *,
    environment: Mapping[str, str],
    supervision: Supervision,
    group: Group | None,
    handed: Mapping[str, int],
    hidden: Path,
    open_within: Sequence[Path],
) -> dict[str, Any]:
    """All its supervisor must know of the attempt in `folder`."""
    own = {"MODELHALL_RUN": launch.run, MARK: str(folder), "TMPDIR": str(folder / "tmp")}
    return {
        "argv": [sys.executable if launch.argv[0] == "python" else launch.argv[0], *launch.argv[1:]],
        "env": {**environment, **_threads(launch.threads), **_gpus(launch), **own},
        "cpus": launch.cpus,
        "memory_bytes": launch.memory_bytes,
        "timeout_s": launch.timeout_s,
        "timeout_grace_s": supervision.timeout_grace_s,
        "segment_bytes": supervision.segment_bytes,
        "afar_look_s": supervision.afar_look_s,
        "inherits": list(supervision.inherits),
        "group": group.as_json() if group else None,
        # The numbers alone, by variable; the supervisor inherits what they stand for.
        "handed": dict(handed),
        "hidden": str(hidden),
        "open_within": [str(path) for path in open_within],
    }


def _gpus(launch: Launch) -> dict[str, str]:
    """Show a run the GPUs it was given and no others; where it was given none, there may be none to hide."""
    if not launch.gpus:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(str(number) for number, _ in launch.gpus)}


def _threads(count: int) -> dict[str, str]:
    """Keep numeric libraries to the processors the run was given, and idle threads from spinning on them."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "RAYON_NUM_THREADS",
    )
    return {
        **dict.fromkeys(names, str(count)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }
