"""convert: the artifact of an accepted version → the same in the form that one engine reads, an artifact of its own.

What an engine would have to make of a network whenever a replica loads it is made here, once. How that is done, the
engine's file says; which engines want it, and that what came of it is signed, is seen to by the control plane.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import torch

from modelhall import tasks
from modelhall.core import libraries, plugins, program, signed_files
from modelhall.core.errors import Rejected
from modelhall.core.files import room
from modelhall.core.orders import ConvertOrder, ConvertOutput
from modelhall.core.program import Order, Reporter, lay_base, open_blobs, private_folder, unpacked
from modelhall.stages.train import requests


@room("a converted model")
def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Convert one version; the result is a ConvertOutput. Raises Rejected for one that the engine has no form for or
    that is not signed as it should be, and on a machine with other libraries than were ordered."""
    what = ConvertOrder.model_validate(order.what)
    _check_libraries(what.libraries)
    torch.set_num_threads(order.threads)
    blobs = open_blobs(order)
    with unpacked(order, what.model) as folder, private_folder(order) as place:
        signed_files.check(order, what, folder)
        lay_base(order, folder)
        task = tasks.load(what.task, folder)
        into = place / "converted"
        into.mkdir()
        task.save(into)
        if (folder / requests.FILE).exists():
            shutil.copy(folder / requests.FILE, into)
        plugins.load("engine", what.engine, field="engine").convert(folder, task, into)
        artifact = blobs.put_folder(into)
    reporter.progress(1, 1, "versions")
    return ConvertOutput(artifact=artifact, size_bytes=blobs.size_bytes(artifact)).model_dump(mode="json")


def _check_libraries(ordered: Mapping[str, str]) -> None:
    """That what is made here has the address it was ordered under."""
    here = libraries.installed(ordered)
    other = [f"{name} {here.get(name, 'not at all')}, not {version}" for name, version in ordered.items()
             if here.get(name) != version]  # fmt: skip
    if other:
        raise Rejected(
            f"this node has {', '.join(other)}, which the hall has; install the same on both", field="engine"
        )


if __name__ == "__main__":
    program.main(carry_out)
