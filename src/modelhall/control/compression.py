"""Compression: have an accepted model made smaller and measured again as it is served, and hold it to its contract.

Only what met the requirement as it was trained is compressed. What came out is a version of its own; one that does
not keep what was asked for is refused, with figures, and the model as it was trained does not stand in for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import Key
from modelhall.core.kinds.compression import Compress, Compression
from modelhall.core.kinds.model import Model, ModelVersion
from modelhall.core.orders import CompressOrder, CompressOutput, EvaluateOrder, EvaluateOutput, Search, key_of
from modelhall.core.requirement import lost, slice_of, unmet


@dataclass(frozen=True, kw_only=True)
class Compressing:
    """How far the compression of one trained model is."""

    order: CompressOrder
    compress: Work
    measure: EvaluateOrder | None
    """None until there is something to measure."""
    evaluate: Work | None

    @property
    def works(self) -> list[Work]:
        return [self.compress, *([self.evaluate] if self.evaluate else [])]


async def observe(
    owner: Key, document: Model, train: str, measure: EvaluateOrder, view: View
) -> Compressing | None:
    """How far it is for the model of the training `train` that `measure` has measured; None if none is asked for."""
    if document.compress is None:
        return None
    order = _order(document, document.compress, measure)
    compress = await work.look_up(view, owner, "compress", key_of("compress", order, model=train))
    if compress.result is None:
        return Compressing(order=order, compress=compress, measure=None, evaluate=None)
    made = CompressOutput.model_validate(compress.result.output)
    again = measure.model_copy(update={"model": made.artifact, "engine": made.engine})
    evaluate = await work.look_up(view, owner, "evaluate", key_of("evaluate", again))
    return Compressing(order=order, compress=compress, measure=again, evaluate=evaluate)


def version(plain: ModelVersion, document: Model, compressing: Compressing) -> ModelVersion:
    """The version that was made of `plain`, accepted or not."""
    assert document.compress is not None
    assert compressing.compress.result is not None
    assert compressing.evaluate is not None
    assert compressing.evaluate.result is not None
    made = CompressOutput.model_validate(compressing.compress.result.output)
    measured = EvaluateOutput.model_validate(compressing.evaluate.result.output)
    keep = document.compress.keep
    refused = [
        *unmet(document.require, measured.metrics),
        *lost(document.require, plain.metrics, measured.metrics, keep),
        *([made.ways[made.chosen].refusal] if made.ways[made.chosen].refusal else []),
    ]
    return plain.model_copy(
        update={
            "id": compressing.compress.key,
            "artifact": made.artifact,
            "accepted": not refused,
            "refusal": ", ".join(refused),
            "metrics": measured.metrics,
            "intervals": measured.intervals,
            "rows": measured.rows,
            "evaluation": measured.evaluation,
            "size_bytes": made.size_bytes,
            "parameters": made.parameters,
            "evaluate_run": compressing.evaluate.result.run,
            "engine": made.engine,
            "compression": Compression(
                run=compressing.compress.result.run,
                keep=keep,
                metrics=plain.metrics,
                ways=made.ways,
                chosen=made.chosen,
            ),
        }
    )


def _order(document: Model, asked: Compress, measure: EvaluateOrder) -> CompressOrder:
    # What is left of slices is judged on the test split alone: those by which ways are chosen are too few.
    whole = {name: text for name, text in document.require.items() if slice_of(name) is None}
    return CompressOrder(
        task=document.task,
        model=measure.model,
        data=measure.data,
        methods=asked.methods,
        search=Search(keep=asked.keep, require=whole) if asked.search else None,
        train=document.train,
    )
