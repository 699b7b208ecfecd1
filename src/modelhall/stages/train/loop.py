"""The training loop: forward, backward, clip, step; validate after each epoch; checkpoint on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from modelhall.core import plugins
from modelhall.core.errors import Failed
from modelhall.core.kinds.model import Train
from modelhall.core.program import Reporter
from modelhall.stages.train.batches import batches
from modelhall.stages.train.checkpoint import Checkpoint, Checkpoints
from modelhall.stages.train.optimizers import learning_rate, optimizer_for
from modelhall.stages.train.variation import Variation
from modelhall.tasks import Examples, Task, predict

_LOSSES_REPORTED = 200
_VALIDATION_BATCH = 256


class Training:
    """One network in training. The state is the network, the optimizer, the best weights so far and `step`;
    learning rate and data order follow from them."""

    def __init__(
        self,
        *,
        task: Task,
        network: nn.Module,
        train: Train,
        examples: Mapping[str, Examples],
        variation: Variation | None = None,
    ) -> None:
        """`variation` changes the rows that are learnt from; those that are validated on stay as they are."""
        self._task = task
        self._variation = variation
        self._network = network
        self._train = train
        self._examples = examples["train"]
        self._validation = examples.get("validation")
        self._optimizer = optimizer_for(network, train)
        self._steps_an_epoch = math.ceil(len(self._examples) / train.batch)
        self.total_steps = self._steps_an_epoch * train.epochs
        self._step = 0
        self._best: dict[str, torch.Tensor] = {}
        self._best_score: tuple[float, float] | None = None

    def run(
        self, checkpoints: Checkpoints, reporter: Reporter, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Train to the end, from the newest checkpoint if there is one, and leave the best epoch's weights in the
        network."""
        found = checkpoints.newest()
        if found:
            self._go_on_from(found)
        begun, written = self._step, monotonic()
        while self._step < self.total_steps:
            epoch, place = divmod(self._step, self._steps_an_epoch)
            for rows in self._batches(epoch)[place:]:
                loss = self._learn(rows.tolist(), epoch)
                self._step += 1
                self._report(loss, begun, reporter)
                if self._step % self._steps_an_epoch == 0:
                    # Before the checkpoint, which so holds whether this epoch was the best.
                    self._validate(reporter)
                if monotonic() - written >= self._train.checkpoint_s:
                    checkpoints.write(self._checkpoint())
                    written = monotonic()
        if self._best:
            self._network.load_state_dict(self._best)
        self._network.eval()

    def _batches(self, epoch: int) -> list[Any]:
        return batches(
            len(self._examples),
            self._train.batch,
            seed=self._train.seed,
            epoch=epoch,
            lengths=self._examples.lengths,
        )

    def _learn(self, rows: list[int], epoch: int) -> float:
        """One step over some rows; their loss. Raises Failed when it is not a number."""
        self._network.train()
        rate = learning_rate(self._train, self._step, self.total_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = (
            self._variation.batch(rows, epoch) if self._variation else self._task.batch(self._examples, rows)
        )
        loss = self._task.loss(self._network, batch, label_smoothing=self._train.label_smoothing)
        if not math.isfinite(loss.item()):
            raise Failed(
                f"the loss became {loss.item()} at step {self._step} of {self.total_steps}; a learning rate below "
                f"{self._train.learning_rate:g}, a longer warm-up or a smaller clip would do",
                field="train.learning_rate",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._train.clip is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._train.clip)
        self._optimizer.step()
        return loss.item()

    def _report(self, loss: float, begun: int, reporter: Reporter) -> None:
        """Progress in samples; the loss so often that its curve can be drawn."""
        total = len(self._examples) * self._train.epochs
        done, before = (round(total * step / self.total_steps) for step in (self._step, begun))
        epoch = math.ceil(self._step / self._steps_an_epoch)
        message = f"epoch {epoch} of {self._train.epochs}, loss {loss:.3f}"
        reporter.progress(done, total, "samples", message=message, done_before=before)
        if self._step % max(1, self.total_steps // _LOSSES_REPORTED) == 0:
            reporter.metrics(self._step, {"loss": loss})

    def _validate(self, reporter: Reporter) -> None:
        """Measure the validation split, if there is one; keep the weights if they are the best so far: by the
        task's first metric, and by the loss where that is equal."""
        if self._validation is None:
            return
        name = self._task.metrics[0]
        predictions = predict(self._task, self._network.eval(), self._validation, batch=_VALIDATION_BATCH)
        metric = plugins.load("metric", name)
        value, loss = metric.measure(predictions), predictions.loss or 0.0
        reporter.metrics(self._step, {f"validation_{name}": value, "validation_loss": loss})
        score = (value if metric.HIGHER_IS_BETTER else -value, -loss)
        if self._best_score is None or score > self._best_score:
            self._best_score = score
            self._best = {key: tensor.clone() for key, tensor in self._network.state_dict().items()}

    def _checkpoint(self) -> Checkpoint:
        """All of the state; the random state is torch's, the only one that tasks and networks draw from."""
        tensors = {"random": torch.get_rng_state()}
        tensors |= {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best.items()}
        for number, state in self._optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{number}.{name}": value for name, value in state.items() if value is not None
            }
        # Tensors that share memory (tied weights) are stored apart.
        copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        return Checkpoint(step=self._step, tensors=copies, facts={"best_score": self._best_score})

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, tensor in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = tensor
        self._network.load_state_dict(parts["network"])
        self._best = parts["best"]
        score = checkpoint.facts["best_score"]
        self._best_score = tuple(score) if score else None
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, _, field = name.partition(".")
            state.setdefault(int(number), {})[field] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(checkpoint.tensors["random"])
        self._step = checkpoint.step
