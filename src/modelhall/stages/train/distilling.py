"""Distillation (Hinton et al. 2015): besides the truth, a network learns how probable its teacher finds everything
else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.teacher import Teacher
from modelhall.core.shape import Shape
from modelhall.tasks import Batch, Criterion, Network, Task, _vocabularies

_NOT_ASKED = -100
_TOKENIZER = "tokenizer.json"


class Taught:
    """A task that is as it was, but for its loss."""

    def __init__(self, task: Task, teacher: nn.Module, *, temperature: float, alpha: float) -> None:
        """`alpha` is the share of the teacher's word in the loss, and `temperature` how much of its doubts is
        heard."""
        self._task = task
        self._teacher = teacher.eval()
        self._temperature = temperature
        self._alpha = alpha

    @classmethod
    def of(cls, task: Task, teacher: nn.Module, how: Teacher) -> Task:
        """The task, taught. Raises Rejected for rows that are too long for the teacher."""
        try:
            networks.try_out(teacher, task.shape)
        except (IndexError, RuntimeError, ValueError) as error:
            raise Rejected(
                f"the teacher does not read rows as long as these, {task.shape.sizes}: {error}; say less by "
                "`positions` of the network",
                field="teacher",
            ) from None
        return cast(Task, cls(task, teacher, temperature=how.temperature, alpha=how.alpha))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """The task's own, and the distance from the teacher, each by its share."""
        student = _Overheard(network)
        own = self._task.loss(student, batch, criterion)
        with torch.no_grad():
            theirs = self._teacher(**student.given).logits
        mine = student.logits
        if mine.ndim == 3:
            # Networks may have more outputs than there are tokens, and not all the same.
            known, asked = self._task.shape.sizes["vocabulary"], _asked(student.given, batch)
            mine, theirs = mine[asked][:, :known], theirs[asked][:, :known]
        return self._alpha * self._distance(mine, theirs) + (1 - self._alpha) * own

    def _distance(self, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        """The squared error of single numbers; else Kullback and Leibler's divergence, evened out, and as large as it
        would be at a temperature of 1 (section 2 there)."""
        if mine.shape[-1] == 1:
            return functional.mse_loss(mine, theirs)
        warmth = self._temperature
        return warmth**2 * functional.kl_div(
            (mine / warmth).log_softmax(-1), (theirs / warmth).log_softmax(-1), log_target=True,
            reduction="batchmean",
        )  # fmt: skip


def check_fits(teacher: Path, base: Path | None, shape: Shape) -> None:
    """Raise Rejected unless the teacher reads the same inputs as what it teaches, and tells the same apart."""
    its = networks.shape_of(teacher)
    if (its.head, its.labels) != (shape.head, shape.labels):
        raise Rejected(
            f"the teacher ends in {its.head} for {', '.join(its.labels) or 'tokens'}, and this model in {shape.head} "
            f"for {', '.join(shape.labels) or 'tokens'}; take one that was trained for the same",
            field="teacher",
        )
    if _without_length(its) != _without_length(shape) or not _reads_alike(teacher, base):
        raise Rejected(
            "the teacher and the base do not read alike: they need one tokenizer, or one size of pictures; leave "
            "`base` out, and the model reads as its teacher does",
            field="teacher",
        )


class _Overheard:
    """A network whose inputs and outputs are remembered."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.given: dict[str, torch.Tensor] = {}
        self.logits = torch.empty(0)

    def __call__(self, **given: torch.Tensor) -> Any:
        made = self._network(**given)
        self.given, self.logits = given, made.logits
        return made


def _asked(given: Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
    """The places that count, bool (rows, length): no padding, and of texts of which a part is to be told, that."""
    asked = torch.ones_like(given["input_ids"], dtype=torch.bool)
    if (mask := given.get("attention_mask")) is not None and mask.shape == asked.shape:
        asked &= mask.bool()
    if (wanted := batch.get("labels")) is not None and wanted.shape == asked.shape:
        asked &= wanted != _NOT_ASKED
    return asked


def _without_length(shape: Shape) -> dict[str, int]:
    return {name: size for name, size in shape.sizes.items() if name not in ("length", "pad")}


def _reads_alike(teacher: Path, base: Path | None) -> bool:
    if base is None or not (teacher / _TOKENIZER).exists():
        return True
    one, other = (_vocabularies.stored(folder).get_vocab() for folder in (teacher, base))
    return bool(one == other)
