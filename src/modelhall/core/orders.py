"""What control orders from each stage and what it gets back: the contract between two floors that never meet.

The key of an order is the address of its result. It holds all that can change the result and nothing else:
the order's fields, its inputs by digest, and the stage's own version, raised when its code changes results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from modelhall.core import dataset_sources, digest
from modelhall.core.kinds.adapter import Served
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.compression import Way
from modelhall.core.kinds.dataset import Column, Dataset, Format, SourceFile, Step, StepReport
from modelhall.core.kinds.model import Comparison, Evaluation, Network, Train
from modelhall.core.kinds.search import Range
from modelhall.core.kinds.service import Batching
from modelhall.core.kinds.teacher import Teacher

VERSIONS = {
    "prepare": 4, "fetch": 1, "search": 1, "train": 5, "evaluate": 2, "compress": 1, "convert": 1, "sign": 1,
    "erase": 1,
}  # fmt: skip
WITHOUT_EFFECT: dict[str, Any] = {
    # Told apart by `TrainOrder.key`, so that trainings without bars have the keys they always had.
    "train": {"train": {"checkpoint_s", "keep_checkpoints", "checkpointing"}, "bars": True},
    "compress": {"train": {"checkpoint_s", "keep_checkpoints", "checkpointing"}},
    # Whom a version is compared with changes nothing of what is measured of it.
    "evaluate": {"against"},
    # What a version is called, and who vouches for it, is no part of what is made of its files.
    "convert": {"version", "public_key", "signature"},
    # Told apart by `PrepareOrder.key`, so that orders without any have the keys they always had.
    "prepare": {"erasures"},
    # What is to go, goes once, whatever there is beside it.
    "erase": {"keep"},
}
"""Fields of a stage's order that cannot change its result, or are part of its key in another way, in the form of
pydantic's `exclude`."""

CAME_LATER: dict[str, tuple[str, ...]] = {"evaluate": ("engine",)}
"""Fields that are no part of a key where they are at their default: orders that had none keep their keys."""

AS_TRAINED, COMPRESSED = "torch", "onnxruntime"
"""The engines that serve a model as it was trained, and one that was compressed, where a service names none."""
GRAPH_FILE = "model.onnx"
"""What the folder of a compressed model holds instead of weights and configuration."""

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


class FetchOrder(Frozen):
    """Of a base that is no model of this hall."""

    base: str


class FetchOutput(Frozen):
    artifact: str
    """Digest of a folder in the layout of Hugging Face, checked."""
    size_bytes: int
    licence: str
    """As the base tells it; empty when it does not."""
    sources: tuple[SourceFile, ...]


class TrainOrder(Frozen):
    task: str
    columns: dict[str, str]
    network: Network | None
    train: Train
    data: str
    """Artifact of the data version."""
    base: str | None = None
    """Artifact of what it starts from."""
    teacher: Teacher | None = None
    """Its model by its artifact."""
    shards: int = Field(default=1, ge=1)
    """In how many parts each step is learnt from, by whichever workers there are; 1 is by one worker."""
    bars: tuple[float, ...] = ()
    """Of a trial: what has to be reached at each validation for it to go on (`policy/pruning.py`)."""

    def key(self, *, data: str) -> str:
        """The address of what this makes of the data version `data`. By the version and not by its artifact: the
        version is what people see and pin."""
        barred = {"bars": list(self.bars)} if self.bars else {}
        return key_of("train", self, data=data, **barred)


class LendOrder(Frozen):
    """Of workers for a training whose leader is on another node."""

    training: str
    """Name of its run."""
    uid: str
    """Of that run."""
    attempt: int
    """Of that run."""
    owner: str | None
    """Path of what it trains for."""
    train: TrainOrder
    leader: str = ""
    """Where it listens, host:port; told when they are started."""


class Validated(Frozen):
    """What the validation split said after each epoch."""

    metric: str
    higher_is_better: bool
    values: tuple[float, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """The values, turned so that higher is better."""
        return self.values if self.higher_is_better else tuple(-value for value in self.values)


class TrainOutput(Frozen):
    artifact: str
    """Digest of a folder that `networks.load` and `tasks.load` read."""
    size_bytes: int
    parameters: int
    steps: int
    precision: str = "float32"
    """What the network computed in."""
    validated: Validated | None = None
    """None where there is no validation split."""
    pruned: bool = False
    """Whether it was a trial that fell below its bars."""
    record: str | None = None
    """Digest of a folder that tells of the training (`stages/train/record.py`)."""


class Tried(Frozen):
    """One trial, as the next ones are proposed by it."""

    values: dict[str, Any]
    state: Literal["running", "done", "pruned", "failed"]
    score: float | None = None
    """Higher is better; None for one that has none yet, or never."""
    validations: int = 0


class SearchOrder(Frozen):
    over: dict[str, Range]
    seed: int
    trials: tuple[Tried, ...]
    """All there are so far, in order."""
    conclude: bool = False
    """Whether there are no more to come, and only what they tell is wanted."""


class SearchOutput(Frozen):
    values: dict[str, Any] | None
    """Of the next trial; None where every value has been tried, or no more are wanted."""
    importances: dict[str, float] = Field(default_factory=dict)
    """How much each field matters, together 1; told at the end, and empty where the trials do not tell."""


class Against(Frozen):
    """An earlier version, to be compared with."""

    version: str
    evaluation: str
    """Artifact of its evaluation."""


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
    against: Against | None = None
    engine: str = AS_TRAINED
    """The one that is to serve it."""


class EvaluateOutput(Frozen):
    metrics: dict[str, float]
    """By name, and for slices as `accuracy[sex=Female]`."""
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """In which each metric lies with 95 % confidence."""
    rows: int
    artifact: str | None = None
    """Digest of a folder with what names labels or rows (`stages/evaluate/details.py`)."""
    comparison: Comparison | None = None

    @property
    def evaluation(self) -> Evaluation | None:
        """What is kept of it with the version, if anything is."""
        if self.artifact is None:
            return None
        return Evaluation(artifact=self.artifact, comparison=self.comparison)


class Search(Frozen):
    """What the ways that are tried are held to."""

    keep: float
    require: dict[str, str]
    """Of the whole split, none of slices."""


class CompressOrder(Frozen):
    task: str
    model: str
    """Artifact of the trained model."""
    data: str
    methods: tuple[Choice, ...]
    search: Search | None = None
    """None where the methods alone are what is asked for."""
    train: Train
    """How what is changed is trained on."""


class CompressOutput(Frozen):
    artifact: str
    """Digest of a folder that `tasks.load` reads, and the engine."""
    size_bytes: int
    parameters: int
    engine: str
    ways: tuple[Way, ...]
    """All that were tried, the model as it was trained first."""
    chosen: int


class ConvertOrder(Frozen):
    version: str
    model: str
    """Its artifact."""
    task: str
    engine: str
    libraries: dict[str, str]
    """Name → version of those that shape the result."""
    public_key: str | None = None
    """In PEM: whose signature the version must have. None in a hall that does not sign."""
    signature: str | None = None
    """Artifact of the version's signature; None when it was never signed."""


class ConvertOutput(Frozen):
    artifact: str
    """Digest of a folder that `tasks.load` reads, and the engine."""
    size_bytes: int


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


class ServedAdapter(Served):
    """What a replica has to know of one more adapter."""

    artifact: str
    public_key: str | None = None
    """As the order has it of its own version; so is what follows."""
    signature: str | None = None


class ServeOrder(Frozen):
    service: str
    """The name callers use, as in `/v2/models/NAME/infer`."""
    version: str
    artifact: str
    """The version's files, or what they were converted to for the engine."""
    task: str
    engine: str
    batching: Batching
    public_key: str | None = None
    """In PEM: whose signature the files must have. None in a hall that does not sign."""
    signature: str | None = None
    """Artifact of their signature; None when they were never signed."""
    adapters: dict[str, ServedAdapter] = Field(default_factory=dict)
    """What is served beside the version on the same base, by name."""


def key_of(stage: str, order: Frozen, **more: object) -> str:
    """The address of what `stage` makes of `order`."""
    relevant = order.model_dump(mode="json", exclude=WITHOUT_EFFECT.get(stage))
    fields = type(order).model_fields
    for field in CAME_LATER.get(stage, ()):
        if field in fields and relevant[field] == fields[field].default:
            del relevant[field]
    return digest.of_json({"stage": stage, "version": VERSIONS[stage], "order": relevant, **more})
