"""compress: a trained model → a smaller one, as the engine that is to serve it reads it.

The ways that are asked for, or with `search` all that suit, are made and measured side by side with the model as it
was trained. What is converted here, once, a replica only loads. Whether what is left of the model is good enough is
decided on the test split, by evaluate and the requirement. It trains on by the train stage's own loop, the one stage
that uses another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modelhall import networks, tasks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.compression import Way
from modelhall.core.orders import COMPRESSED, CompressOrder, CompressOutput
from modelhall.core.program import Order, Reporter, open_blobs, private_folder, unpacked, unpacked_model
from modelhall.stages import _data
from modelhall.stages.compress import measuring, search
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.making import Made, Maker, name_of
from modelhall.stages.compress.tuning import Tuning
from modelhall.stages.train.machine.precision import choose


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Compress one model; the result is a CompressOutput. Raises Rejected for a method that the network or the task
    has no use for."""
    what = CompressOrder.model_validate(order.what)
    torch.set_num_threads(order.threads)
    torch.set_deterministic_debug_mode("warn")
    with unpacked(order, what.data) as data:
        splits = {name: _data.read(data, name) for name in _data.splits(data)}
    with unpacked_model(order, what.model) as trained, private_folder(order) as place:
        task, network = tasks.load(what.task, trained), networks.load(trained)
        tuning = Tuning(
            what=what, task=task, splits=splits, state=order.state, reporter=reporter,
            precision=choose(what.train.precision, order.cache, order.threads),
        )  # fmt: skip
        as_trained = Made("as trained", trained, sum(part.numel() for part in network.parameters()))
        made = [
            as_trained,
            *_made(what, Maker(Draft(network=network), trained, tuning, place), reporter),
        ]
        ways = _measured(what, made, tuning, threads=order.threads)
        chosen = search.best(ways)
        blobs = open_blobs(order)
        artifact = blobs.put_folder(made[chosen].folder)
    return CompressOutput(
        artifact=artifact,
        size_bytes=blobs.size_bytes(artifact),
        parameters=made[chosen].parameters,
        engine=COMPRESSED,
        ways=tuple(ways),
        chosen=chosen,
    ).model_dump(mode="json")


def _made(what: CompressOrder, maker: Maker, reporter: Reporter) -> list[Made]:
    """What is asked for, and what else is tried: of that, what does not suit is left out."""
    wanted = search.ways(what.methods) if what.search else [what.methods]
    made = []
    for number, methods in enumerate(wanted):
        reporter.progress(number, len(wanted), "ways", message=name_of(methods))
        try:
            made.append(maker.make(methods))
        except Rejected:
            if methods == what.methods:
                raise
    return made


def _measured(what: CompressOrder, made: list[Made], tuning: Tuning, *, threads: int) -> list[Way]:
    engines = measuring.engines([one.folder for one in made], tuning.task, threads=threads)
    times = measuring.times(engines, tuning.held_out)
    ways = [
        Way(name=one.name, size_bytes=measuring.size_of(one.folder), row_ms=row_ms, batch_ms=batch_ms)
        for one, (row_ms, batch_ms) in zip(made, times, strict=True)
    ]
    ways = [ways[0], *(search.unless_slower(way, ways[0]) for way in ways[1:])]
    if what.search is None:
        return ways
    shares = measuring.kept(engines, tuning.held_out, what.search.require)
    return search.judged(ways, shares, keep=what.search.keep)
