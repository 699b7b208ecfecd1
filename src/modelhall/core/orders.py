"""What control orders from each stage and what it gets back: the contract between two floors that never meet.

The key of an order is the address of its result. It holds all that can change the result and nothing else:
the order's fields, its inputs by digest, and the stage's own version, raised when its code changes results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from modelhall.core import dataset_sources, digest
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.dataset import Column, Dataset, Format, SourceFile, Step, StepReport
from modelhall.core.kinds.model import Network, Train
from modelhall.core.kinds.service import Batching

VERSIONS = {"prepare": 4, "train": 3, "evaluate": 2, "sign": 1, "erase": 1}
WITHOUT_EFFECT: dict[str, Any] = {
    "train": {"train": {"checkpoint_s", "checkpointing"}},
    # Told apart by `PrepareOrder.key`, so that orders without any have the keys they always had.
    "prepare": {"erasures"},
    # What is to go, goes once, whatever there is beside it.
    "erase": {"keep"},
}
"""Fields of a stage's order that cannot change its result, or are part of its key in another way, in the form of
pydantic's `exclude`."""

SIGNATURE_FILE, SIGNATURE_FORMAT = "model.sig", "model-signing"
"""What the folder of a signature holds, and the plug-in that writes and checks it."""


class PrepareOrder(Frozen):
    source: str | dict[str, str]
    """Another data set is named by its artifact here: `dataset://NAME@DIGEST`."""
    format: Format
    prepare: tuple[Step, ...]
    max_damaged: float
    erasures: tuple[str, ...] = ()
    """Ids of erasures; which rows they are about is handed over as secrets."""

    @classmethod
    def of(cls, dataset: Dataset) -> PrepareOrder:
        return cls(
            source=dataset.source if isinstance(dataset.source, str) else dataset.sources,
            format=dataset.format,
            prepare=dataset.prepare,
            max_damaged=dataset.max_damaged,
        )

    def key(self, **content: object) -> str:
        """The address of what this makes of `content`."""
        erased = {"erasures": list(self.erasures)} if self.erasures else {}
        return key_of("prepare", self, **content, **erased)

    def version(
        self, sources: tuple[SourceFile, ...], of_steps: Mapping[str, tuple[SourceFile, ...]] | None = None
    ) -> str:
        """The identity of what this makes of files with this content, wherever they lie; `of_steps` are those that
        steps name, by their fields."""
        content: dict[str, Any] = {"files": [file.digest for file in sources], "splits": self._splits()}
        if of_steps:
            content["steps"] = {field: [file.digest for file in files] for field, files in of_steps.items()}
        nowhere = dataset_sources.steps_with(self.prepare, dict.fromkeys(of_steps or {}, ""))
        return self.model_copy(update={"source": "", "prepare": nowhere}).key(content=content)

    def _splits(self) -> list[str]:
        # As the files are in order of the splits, so must the splits be.
        return list(self.source) if isinstance(self.source, dict) else []


class PrepareOutput(Frozen):
    version: str
    artifact: str
    """Digest of a folder: parquet shards of each split that has rows, what was fitted, and `dataset.json`."""
    rows: dict[str, int]
    columns: tuple[Column, ...]
    size_bytes: int
    sources: tuple[SourceFile, ...]
    steps: tuple[StepReport, ...]


class TrainOrder(Frozen):
    task: str
    columns: dict[str, str]
    network: Network
    train: Train
    data: str
    """Artifact of the data version."""


class TrainOutput(Frozen):
    artifact: str
    """Digest of a folder that `networks.load` and `tasks.load` read."""
    size_bytes: int
    parameters: int
    steps: int
    precision: str = "float32"
    """What the network computed in."""


class EvaluateOrder(Frozen):
    task: str
    model: str
    """Artifact of the trained model."""
    data: str
    split: str = "test"
    metrics: tuple[str, ...]
    """Names asked for in `require`; the task's own are measured as well."""
    slices: tuple[str, ...] = ()
    """Columns by whose values they are measured, too."""


class EvaluateOutput(Frozen):
    metrics: dict[str, float]
    """By name, and for slices as `accuracy[sex=Female]`."""
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """In which each metric lies with 95 % confidence."""
    rows: int


class SignOrder(Frozen):
    artifact: str
    version: str
    public_key: str
    """In PEM: that of the key to sign with."""


class SignOutput(Frozen):
    signature: str
    """Digest of a folder that holds `SIGNATURE_FILE`."""


class EraseOrder(Frozen):
    artifacts: tuple[str, ...]
    """Folders whose files are to be deleted."""
    keep: tuple[str, ...]
    """Folders that stay: a file that is in one of them as well is not deleted."""


class EraseOutput(Frozen):
    files: int
    size_bytes: int


class ServeOrder(Frozen):
    service: str
    """The name callers use, as in `/v2/models/NAME/infer`."""
    version: str
    artifact: str
    task: str
    engine: str
    batching: Batching
    public_key: str | None = None
    """In PEM: whose signature the version must have. None in a hall that does not sign."""
    signature: str | None = None
    """Artifact of the version's signature; None when it was never signed."""


def key_of(stage: str, order: Frozen, **more: object) -> str:
    """The address of what `stage` makes of `order`."""
    relevant = order.model_dump(mode="json", exclude=WITHOUT_EFFECT.get(stage))
    return digest.of_json({"stage": stage, "version": VERSIONS[stage], "order": relevant, **more})
