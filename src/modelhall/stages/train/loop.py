"""The training loop: forward, backward, clip, step; validate after each epoch; checkpoint on the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from modelhall import networks
from modelhall.core.errors import Failed
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Train
from modelhall.core.orders import Validated
from modelhall.core.program import Reporter
from modelhall.policy import pruning
from modelhall.stages.train import losses, optimizers, schedules, snapshot
from modelhall.stages.train.average import Average
from modelhall.stages.train.batches import batches
from modelhall.stages.train.best import Best
from modelhall.stages.train.checkpoint import Checkpoint
from modelhall.stages.train.curves import Curves
from modelhall.stages.train.divergence import Divergence
from modelhall.stages.train.freezing import freeze
from modelhall.stages.train.machine import memory
from modelhall.stages.train.machine.precision import Precision, computing_in
from modelhall.stages.train.machine.rehearsal import Rehearsal, rehearse
from modelhall.stages.train.machine.tempo import Tempo
from modelhall.stages.train.parts import Parts
from modelhall.stages.train.recomputing import recomputing
from modelhall.stages.train.shards import Alone, Shards, Together
from modelhall.stages.train.validation import Validation
from modelhall.stages.train.variation import Variation
from modelhall.stages.train.writing import Room, Writing
from modelhall.tasks import Batch, Examples, Packs, Task

_LOSSES_REPORTED = 200


class Training:
    """One network in training. The state is the network, its average, the optimizer, the best weights so far and
    `steps`; learning rate and data order follow from them. Of several workers each holds all of it, to the same
    bits."""

    def __init__(
        self,
        *,
        task: Task,
        network: nn.Module,
        train: Train,
        loss: Choice,
        precision: Precision,
        examples: Mapping[str, Examples],
        variation: Variation | None = None,
        shards: int = 1,
        bars: Sequence[float] = (),
    ) -> None:
        """`variation` changes the rows that are learnt from; those that are validated on stay as they are. Each step
        is learnt from in so many `shards`, by however many workers. `bars` are what has to be reached at each
        validation for the training to go on."""
        freeze(network, train.freeze)
        self._task = task
        self._variation = variation
        self._network = network
        self._train = train
        self._examples = examples["train"]
        self._validation = Validation(task, examples["validation"]) if "validation" in examples else None
        self._optimizer = optimizers.make(network, train)
        self._criterion = losses.make(loss, task.shape.labels, self._examples.truth or ())
        self._average = None if train.ema is None else Average(network, train.ema)
        self._best = Best()
        self._shards = Shards(network, shards, seed=train.seed) if shards > 1 else None
        self._group: Together = Alone()
        self._bars = bars
        self.curves = Curves()
        self._steps_an_epoch = math.ceil(len(self._examples) / train.batch)
        self._total = self._steps_an_epoch * train.epochs
        self._divergence = Divergence(self._total)
        self._parts = Parts(network, train.accumulate, split=train.on_oom == "split")
        self._tempo: Tempo | None = None
        self.precision = precision
        self.steps = 0
        self.begun = 0
        """The step this attempt went on from."""
        self._told: list[dict[str, float]] = []
        """The figures of the last step."""

    def rehearse(
        self, *, limit_bytes: int, peak_gflops: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """See on a few rows what a step takes. Raises Rejected when that is more memory than there is."""
        unit, lengths = self._lengths()
        self._network.train()
        with self._learning():
            found = rehearse(self._network, lambda rows: self._backward(np.asarray(rows), len(rows)), lengths)
        self._check_memory(found, limit_bytes)
        self._tempo = Tempo(
            unit=unit, lengths=lengths, rehearsal=found, peak_gflops=peak_gflops, monotonic=monotonic
        )

    def _check_memory(self, found: Rehearsal, limit_bytes: int) -> None:
        train = self._train
        copies = (self._validation is not None) + (train.ema is not None)
        need = memory.need(found, self._network, train.optimizer.name, copies=copies)
        together = min(train.batch, len(self._examples))
        self._parts.number = memory.parts_that_fit(
            need,
            -(-together // self._shards.number) if self._shards else together,
            train.accumulate,
            limit_bytes,
            split=train.on_oom == "split",
            ways=() if train.checkpointing else ("`checkpointing: true` needs less",),
        )

    def _lengths(self) -> tuple[str, np.ndarray]:
        """What tempo is told in, and how much of it each row has."""
        rows, sizes = len(self._examples), self._task.shape.sizes
        unit = "tokens" if "vocabulary" in sizes else "samples"
        return unit, np.asarray(self._examples.lengths or [sizes["length"] if unit == "tokens" else 1] * rows)

    @contextlib.contextmanager
    def _learning(self) -> Iterator[None]:
        """A while in which the network learns as it is asked to."""
        with (
            networks.learning(self._network),
            recomputing(self._network) if self._train.checkpointing else contextlib.nullcontext(),
        ):
            yield

    def run(
        self,
        reporter: Reporter,
        writing: Writing | None = None,
        group: Together | None = None,
        heed: Callable[[], None] = lambda: None,
    ) -> None:
        """Train from here to the end, offering checkpoints to `writing`, one of a `group` of workers. When that falls
        apart, raises what it does, as it does what `heed` raises, which is called after each step; the state is that
        after `steps` steps."""
        self._group = group or Alone()
        with self._learning():
            self._run(reporter, writing, heed)

    def _run(self, reporter: Reporter, writing: Writing | None, heed: Callable[[], None]) -> None:
        while not self._is_over():
            epoch, place = divmod(self.steps, self._steps_an_epoch)
            for rows in self._batches(epoch)[place:]:
                loss = self._learn(rows)
                self.steps += 1
                self._told = []
                self._report(loss, reporter)
                if self.steps % self._steps_an_epoch == 0:
                    # Before the checkpoint, which so holds whether this epoch was the best.
                    self._validate(reporter)
                if writing is not None and writing.offer(self.checkpoint):
                    reporter.metrics(self.steps, {"checkpoint_stall_share": writing.stall_share})
                heed()

    def finish(self) -> None:
        """Leave the weights that are to be kept in the network."""
        if kept := self._best.weights or (self._average and self._average.weights):
            self._network.load_state_dict(kept)
        self._network.eval()

    @property
    def pruned(self) -> bool:
        """Whether it has fallen below its bars."""
        return pruning.is_hopeless(self._best.values, self._bars)

    @property
    def validated(self) -> Validated | None:
        """The first validations; None where there is no validation split."""
        return None if self._validation is None else self._validation.told(self._best.values)

    def _is_over(self) -> bool:
        patience = self._train.patience
        waited = patience is not None and self._best.waited >= patience
        return self.steps >= self._total or waited or self.pruned

    def _batches(self, epoch: int) -> list[np.ndarray]:
        return batches(
            len(self._examples),
            self._train.batch,
            seed=self._train.seed,
            epoch=epoch,
            lengths=self._examples.lengths,
        )

    def _learn(self, rows: np.ndarray) -> float:
        """One step over some rows; their loss. Raises Failed when it is not a number."""
        self._network.train()
        self._optimizer.zero_grad(set_to_none=True)
        with self._tempo.of(rows) if self._tempo else contextlib.nullcontext():
            if self._shards is None:
                loss = self._gradient(rows, len(rows))
            else:
                loss = self._shards.learn(self.steps, rows, self._gradient, self._group)
            self._check(loss)
            self._step()
        return loss

    def _step(self) -> None:
        """Move the weights by the gradients that are there."""
        self._clip()
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.step()
        if self._average is not None:
            self._average.take_in()

    def _check(self, loss: float) -> None:
        """Raise Failed for a loss that is no number, or has been far above the best one for long."""
        wrong = self._divergence.see(loss) if math.isfinite(loss) else f"the loss became {loss}"
        if wrong:
            raise Failed(
                f"{wrong} at step {self.steps} of {self._total}; a learning rate below "
                f"{self._train.learning_rate:g}, a longer warm-up or a smaller clip would do",
                field="train.learning_rate",
            )

    def _gradient(self, rows: np.ndarray, of: int) -> float:
        """Add the gradient of some of a step's rows, part by part; their share of its loss."""
        return self._parts.over(rows, lambda part: self._backward(part, of))

    def _backward(self, rows: np.ndarray, of: int) -> float:
        """Add the gradient of one part."""
        batch = self._batch(rows.tolist())
        with computing_in(self.precision):
            loss = self._task.loss(self._network, batch, self._criterion) * (len(rows) / of)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _batch(self, rows: list[int]) -> Batch:
        if self._variation is not None:
            return self._variation.batch(rows, self.steps // self._steps_an_epoch)
        if self._train.packing and isinstance(self._task, Packs):
            return self._task.packed(self._examples, rows)
        return self._task.batch(self._examples, rows)

    def _clip(self) -> None:
        if self._train.clip_value is not None:
            nn.utils.clip_grad_value_(self._network.parameters(), self._train.clip_value)
        if self._train.clip is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._train.clip)

    def _rate(self) -> float:
        return schedules.rate(
            self._train,
            self.steps,
            self._total,
            steps_an_epoch=self._steps_an_epoch,
            losses=tuple(self._best.losses),
        )

    def _report(self, loss: float, reporter: Reporter) -> None:
        """Progress in samples; the loss so often that its curve can be drawn."""
        total = len(self._examples) * self._train.epochs
        done, before = (round(total * step / self._total) for step in (self.steps, self.begun))
        epoch = math.ceil(self.steps / self._steps_an_epoch)
        message = f"epoch {epoch} of {self._train.epochs}, loss {loss:.3f}"
        reporter.progress(done, total, "samples", message=message, done_before=before)
        if self.steps % max(1, self._total // _LOSSES_REPORTED) == 0:
            self._tell({"loss": loss}, reporter)
            if self._tempo is not None:
                reporter.metrics(
                    self.steps, {**self._tempo.figures(self._group.of), "parts": self._parts.number}
                )

    def _validate(self, reporter: Reporter) -> None:
        """Measure the validation split, if there is one; keep the weights if they are the best so far: by the
        metric, and by the loss where that is equal."""
        validation = self._validation
        if validation is None:
            return
        with self._average.within() if self._average else contextlib.nullcontext():
            value, loss = validation.measure(self._network)
            self._best.see(validation.score(value), loss, self._network.state_dict())
        self._tell({f"validation_{validation.metric}": value, "validation_loss": loss}, reporter)

    def _tell(self, figures: dict[str, float], reporter: Reporter) -> None:
        self.curves.add(self.steps, figures)
        self._told.append(figures)
        reporter.metrics(self.steps, figures)

    def tell_again(self, reporter: Reporter) -> None:
        """Tell the figures of the last step, as whoever was to tell them may be gone."""
        for figures in self._told:
            reporter.metrics(self.steps, figures)

    def checkpoint(self, room: Room) -> Checkpoint:
        """A copy of the state, in the memory of `room` where that fits."""
        parts = {"network": self._network.state_dict(), "best": self._best.weights}
        if self._average is not None:
            parts["average"] = self._average.weights
        tensors = snapshot.take(parts, self._optimizer, room)
        facts = {
            "best": self._best.facts(),
            "curves": self.curves.copy(),
            "told": self._told,
            "divergence": self._divergence.facts(),
            "parts": self._parts.number,
            "precision": self.precision,
        }
        return Checkpoint(step=self.steps, tensors=tensors, facts=facts)

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Be as one was that gave this checkpoint, which is its own from here on."""
        parts: dict[str, Any] = snapshot.restore(checkpoint.tensors, self._optimizer)
        self._network.load_state_dict(parts["network"])
        self._best.go_on(checkpoint.facts["best"], parts.get("best", {}))
        self.curves.go_on(checkpoint.facts["curves"])
        self._told = list(checkpoint.facts["told"])
        self._divergence.go_on(checkpoint.facts["divergence"])
        self._parts.number, self.precision = checkpoint.facts["parts"], checkpoint.facts["precision"]
        if self._average is not None:
            self._average.go_on(parts["average"])
        self.steps = self.begun = checkpoint.step
