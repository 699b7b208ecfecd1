"""The record of a training: what was ordered, with what and for how long it was carried out, and its curves.

An artifact of its own beside the model's, since two trainings of one order make the same model and not in the same
time. Energy and money are the ledger's to tell.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from modelhall.core import files
from modelhall.core.libraries import installed
from modelhall.core.machine import processor
from modelhall.core.orders import TrainOrder
from modelhall.stages.train.curves import Curves
from modelhall.version import __version__

FILE = "record.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "polars", "scikit-learn", "safetensors")


def write(
    folder: Path, *, order: TrainOrder, curves: Curves, attempt: int, begun: int, seconds: float
) -> None:
    """Leave it in `folder`; the attempt began after `begun` steps and took `seconds`."""
    files.write_json(
        folder / FILE,
        {
            "order": order.model_dump(mode="json"),
            "attempt": attempt,
            "begun_at_step": begun,
            "seconds": seconds,
            "seed": order.train.seed,
            "machine": _machine(),
            "libraries": {
                "python": platform.python_version(),
                "modelhall": __version__,
                **installed(LIBRARIES),
            },
            "curves": curves.points,
        },
    )


def _machine() -> dict[str, Any]:
    """What the same bits depend on, besides the order and the libraries."""
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.get_deterministic_debug_mode() > 0,
        "accelerators": [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())],
    }
