"""Tasks: one file an application. What its data must look like, how a network learns it, how it answers.

A task's file has `COLUMNS` (the parts of a row and the columns they are in unless a model says otherwise; and
`OTHER_COLUMNS`, if there are other sorts of rows), `LOSSES` (those it can be trained by, its own first), `PREDICTS`
(of `classes`, `numbers`, `tokens`, `texts` and `vectors`: which metrics there are), `COMPRESSES` (whether an engine
answers by what compressing makes of its networks), `TAKES_BASE` (whether it can go by what a base brings),
`fit(splits, columns, *, length, base)`, which learns labels, vocabulary or scales from the training split alone and
returns a `Task`, and `load(folder)`, which reads back what its `save` wrote. Networks are built elsewhere to the
task's `shape`; optimizers, metrics and HTTP are left to the stages and to serving.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from pydantic import ValidationError

from modelhall.core import files, plugins, stored_json
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import did_you_mean
from modelhall.core.shape import Shape

if TYPE_CHECKING:
    # A replica has no use for frames and starts sooner without polars.
    import polars as pl
    from tokenizers import Tokenizer

MOST_SCORES_BYTES = 64 << 20
"""Of a batch; what is made of them is several times as large."""
MOST_FITTED_BYTES = 64 << 20
"""No task.json is larger."""

Fitted = TypeVar("Fitted", bound=Frozen)
"""The form of a task's own task.json."""

Network = Callable[..., Any]
"""Takes a batch's inputs by keyword, returns an object with `logits`: a torch module, or what an engine made of
one."""

Batch = dict[str, torch.Tensor]
"""The network's inputs by name and, when the truth is known, `labels`."""

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes a network's outputs and the truth, returns the mean loss, a scalar with a gradient."""


@runtime_checkable
class KnowsItsSlope(Protocol):
    """A criterion that can do with fewer passes over memory where there are many outputs."""

    def slope(self, outputs: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of all rows together, not its mean, and its gradient in the place of the outputs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows made ready for batching, in memory; what an input is, is the task's own affair."""

    inputs: Sequence[Any]
    truth: Sequence[Any] | None = None
    """None for requests."""
    lengths: Sequence[int] | None = None
    """How long each row is; None when all are the same. Batches hold rows of like length."""

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """The rows of several requests below each other."""
        lengths = [length for part in parts for length in part.lengths or ()]
        return cls(inputs=[row for part in parts for row in part.inputs], lengths=lengths or None)


class Answered(NamedTuple):
    """What was told where an answer is wanted, to its end, and the one that was wanted."""

    told: str
    wanted: str


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network made of some rows, and the truth where it is known; metrics read this."""

    predicted: Sequence[Any]
    scores: np.ndarray
    """(rows, …) float32: for classes the probability of each."""
    truth: Sequence[Any] | None = None
    losses: np.ndarray | None = None
    """(rows,) float32: the mean loss of what is told of each row, where the truth is known."""
    told: np.ndarray | None = None
    """(rows,) int64: how much is told of each row, such as tokens; one if not said."""
    rewards: np.ndarray | None = None
    """(rows,) float32: how much more than the reference the chosen one of two is preferred to the other."""
    answered: Sequence[Answered] | None = None
    """Where answers were told to their end, token by token, which takes much longer than all else."""

    @property
    def loss(self) -> float | None:
        """The mean over all that is told; None where the truth is not known."""
        return None if self.losses is None else float(np.average(self.losses, weights=self.told))

    def rows(self, start: int, stop: int) -> Predictions:
        """A part of them, as for one request of a batch."""
        return self.take(np.arange(start, stop))

    def take(self, rows: np.ndarray) -> Predictions:
        """Those of some rows, also of some more than once."""
        return Predictions(
            predicted=[self.predicted[row] for row in rows],
            scores=self.scores[rows],
            truth=None if self.truth is None else [self.truth[row] for row in rows],
            losses=None if self.losses is None else self.losses[rows],
            told=None if self.told is None else self.told[rows],
            rewards=None if self.rewards is None else self.rewards[rows],
            answered=None if self.answered is None else [self.answered[row] for row in rows],
        )

    @classmethod
    def join(cls, parts: Sequence[Predictions], truth: Sequence[Any] | None) -> Predictions:
        """Those of several batches below each other."""

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return cls(
            predicted=[value for part in parts for value in part.predicted],
            scores=np.concatenate([part.scores for part in parts]),
            truth=truth,
            losses=joined("losses"),
            told=joined("told"),
            rewards=joined("rewards"),
        )


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of the Open Inference Protocol: `data` is flat, `shape[0]` the number of rows.
    As a description of what is taken or given, `data` is empty and an open size is -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


BASE64: Mapping[str, Any] = {"content_type": "base64"}
"""The parameters of an input whose elements are bytes, which stand in JSON in base64."""


class Task(Protocol):
    """A fitted task."""

    shape: Shape
    metrics: tuple[str, ...]
    """Measured always; the first one chooses the best epoch."""
    inputs: tuple[Tensor, ...]
    """What a request holds."""
    outputs: tuple[Tensor, ...]
    columns: Mapping[str, str]
    """Which column of the data each part of a row is in; inputs are such parts."""

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        """Rows with their truth; raises Rejected for a value that training never saw or that cannot be read."""
        ...

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """The rows of a request, which holds all of `inputs`; raises Rejected for what cannot be read."""
        ...

    def sample(self) -> dict[str, Tensor]:
        """A request of one row that can be read, to warm up with."""
        ...

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """Some of the rows as tensors, padded to the longest."""
        ...

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """The mean loss over a batch by one of the task's `LOSSES`, a scalar with a gradient."""
        ...

    def predict(self, network: Network, batch: Batch) -> Predictions: ...

    def answer(self, predictions: Predictions) -> list[Tensor]:
        """Predictions as the caller gets them."""
        ...

    def save(self, folder: Path) -> None:
        """Write all `load` needs to `folder`, as JSON and tokenizer files."""
        ...


@runtime_checkable
class Tells(Protocol):
    """What a task has besides if its answer is told token by token, so that a replica can tell it as it comes."""

    shape: Shape
    tokenizer: Tokenizer
    ends: frozenset[int]
    """Tokens that end a text."""
    reads: int
    """Tokens a text may have together with what it is continued by."""
    most_new: int
    """Tokens a text is continued by where nobody says how many."""


@runtime_checkable
class Replies(Protocol):
    """A task in whose rows something is answered, so that what it tells can be held beside that."""

    def questions(self, split: str, frame: pl.DataFrame) -> tuple[Examples, list[str]]:
        """Each row as a request, up to where its last answer begins, and that answer. Raises Rejected for one that
        leaves no room for an answer."""
        ...


@runtime_checkable
class Ranks(Protocol):
    """A task whose rows are measured against each other, and not each by itself."""

    def together(self, predictions: Predictions) -> Predictions:
        """What the network made of all rows of a split, measured."""
        ...


@runtime_checkable
class Packs(Protocol):
    """A task over texts that can stand side by side: what one may learn from with `packing`."""

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Rows as `examples` has them, each of which is of one text alone."""
        ...

    def packed(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """Some of these rows side by side; the loss is that of the same rows by themselves."""
        ...


def fit(
    name: str,
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None = None,
    base: Path | None = None,
) -> Task:
    """Fit the task called `name` on `splits["train"]`; `length` limits rows, where the network does. What the `base`
    in a folder brings, such as its vocabulary, is not fitted.

    Raises Rejected for a part of a row the task does not have, or a column that is not there.
    """
    module = plugins.load("task", name, field="task")
    if "train" not in splits:
        raise Rejected(f"no train split; there is: {', '.join(splits)}", field="data")
    placed = _placed(name, module, columns, splits["train"].columns)
    for split, frame in splits.items():
        _check_columns(split, frame, placed)
    brought = {} if base is None else {"base": base}
    return cast(Task, module.fit(splits, placed, length=length, **brought))


def losses_of(name: str) -> tuple[str, ...]:
    """The losses a task can be trained by, its own first."""
    return cast("tuple[str, ...]", plugins.load("task", name, field="task").LOSSES)


def losses_for(name: str, task: Task) -> tuple[str, ...]:
    """Those by which the rows are learnt that this one was fitted on, its own first: not all do for all sorts."""
    return cast("tuple[str, ...]", getattr(task, "losses", losses_of(name)))


def load(name: str, folder: Path) -> Task:
    """The fitted task that `save` wrote into `folder`."""
    return cast(Task, plugins.load("task", name, field="task").load(folder))


def predict(
    task: Task, network: Network, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
) -> Predictions:
    """Predictions for all rows, in their order, `batch` at a time, or fewer where each has the scores of a vocabulary
    at every place; `each` is told how many rows are done."""
    order = np.argsort(examples.lengths, kind="stable") if examples.lengths else np.arange(len(examples))
    parts, done = [], 0
    with torch.inference_mode():
        for rows in _chunks(order, min(batch, _most_rows(task.shape))):
            parts.append(task.predict(network, task.batch(examples, rows.tolist())))
            done += len(rows)
            if each:
                each(done)
    back = np.argsort(order, kind="stable")
    truth = None if examples.truth is None else [examples.truth[row] for row in order]
    joined = Predictions.join(parts, truth).take(back)
    return task.together(joined) if isinstance(task, Ranks) and truth is not None else joined


def compares(task: Task) -> bool:
    """Whether the task's rows are learnt from, and measured, by what a reference makes of them. Such a task has
    `referred(examples, reference)`, which tells the rows with that."""
    return bool(getattr(task, "compares", False))


def referred(task: Task, examples: Examples, reference: Network) -> Examples:
    """The rows with what a reference makes of them; the same where nothing is compared."""
    return cast(Any, task).referred(examples, reference) if compares(task) else examples


def outputs_of(network: Network, batch: Batch) -> torch.Tensor:
    """What the network makes of a batch."""
    logits: torch.Tensor = network(**{name: part for name, part in batch.items() if name != "labels"}).logits
    return logits


def read_fitted(folder: Path, form: type[Fitted]) -> Fitted:
    """What a task wrote with `write_fitted`. Raises Broken when there is none, Rejected when it is not of this
    form."""
    found = stored_json.read(folder / "task.json", most_bytes=MOST_FITTED_BYTES)
    try:
        # By way of JSON text, whose strict mode takes a list for a tuple but never a word for a number.
        return form.model_validate_json(json.dumps(found), strict=True)
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(map(str, mistake["loc"]))
        raise Rejected(f"task.json is not what `save` writes: {place}: {mistake['msg']}") from None


def write_fitted(folder: Path, fitted: Mapping[str, Any]) -> None:
    files.write_json(folder / "task.json", fitted)


def _placed(name: str, module: ModuleType, said: Mapping[str, str], there: Sequence[str]) -> dict[str, str]:
    """The column of each part of a row: what a model says, or what the task expects. Of several sorts of rows, it is
    the first that has all parts that are said, and whose columns are there."""
    sorts: list[dict[str, str]] = [module.COLUMNS, *getattr(module, "OTHER_COLUMNS", ())]
    known = dict.fromkeys(part for sort in sorts for part in sort)
    for part in said:
        if part not in known:
            raise Rejected(f"{name} has no {part!r}; {did_you_mean(part, known)}", field=f"columns.{part}")
    fitting = [{**sort, **said} for sort in sorts if said.keys() <= sort.keys()]
    if not fitting:
        raise Rejected(
            f"{name} has no rows of {' and '.join(said)}; a row is one of: "
            + "; ".join(" and ".join(sort) for sort in sorts),
            field="columns",
        )
    return next((sort for sort in fitting if set(sort.values()) <= set(there)), fitting[0])


def _check_columns(split: str, frame: pl.DataFrame, placed: Mapping[str, str]) -> None:
    for part, column in placed.items():
        if column not in frame.columns:
            raise Rejected(
                f"the data has no column {column!r} in {split}; there is: {', '.join(frame.columns)}. "
                f"Say which one it is, such as `columns: {{{part}: {frame.columns[0]}}}`",
                field=f"columns.{part}",
            )


def _most_rows(shape: Shape) -> int:
    """So many that their scores are no larger than `MOST_SCORES_BYTES`, one at least."""
    if not shape.head.endswith("-lm"):
        return sys.maxsize
    return max(1, MOST_SCORES_BYTES // (4 * shape.sizes["vocabulary"] * shape.sizes["length"]))


def _chunks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
