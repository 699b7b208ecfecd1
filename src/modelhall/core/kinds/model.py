"""`model`: task, data, network, training, and the requirement a version must meet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelhall.core.kinds.adapter import Adapter
from modelhall.core.kinds.base import Document, Frozen, Resource, Resources, Status
from modelhall.core.kinds.card import Card
from modelhall.core.kinds.choice import Choice, WrittenChoice
from modelhall.core.kinds.compression import Compression, WrittenCompress
from modelhall.core.kinds.origin import Origin
from modelhall.core.kinds.search import Search, SearchReport
from modelhall.core.kinds.teacher import Teacher
from modelhall.core.names import Reference
from modelhall.core.requirement import RequirementText


class Network(BaseModel):
    """A model family and its options; which options there are, the family's own file says."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    family: str = Field(description="A file in modelhall/networks, or a model type of transformers.")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


BESIDE_A_BASE = ("positions", "dropout")
"""What a model may say of its network beside a base; all else is as the base has it."""


class Train(Frozen):
    """How the network is trained."""

    epochs: int = Field(
        default=3, ge=0, le=100_000, description="Times every row is learnt from; 0 keeps a base."
    )
    batch: int = Field(default=32, ge=1, le=1_000_000, description="Rows a step.")
    accumulate: int = Field(
        default=1, ge=1, le=10_000, description="In how many parts a step's rows go through the network."
    )
    loss: WrittenChoice | None = Field(
        default=None,
        description="A file in stages/train/losses, such as `huber`; the task's own if not said.",
    )
    optimizer: WrittenChoice = Field(
        default=Choice(name="adamw"), description="A file in stages/train/optimizers, such as `muon`."
    )
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: WrittenChoice = Field(
        default=Choice(name="linear"),
        description="A file in stages/train/schedules: how the learning rate falls after the warm-up.",
    )
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of all steps with a rising rate.")
    clip: float | None = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    clip_value: float | None = Field(default=None, gt=0, description="Largest element of the gradient.")
    freeze: tuple[str, ...] = Field(
        default=(), description="Parameters that stay as they are, by patterns such as `embeddings.*`."
    )
    adapter: Adapter | None = Field(
        default=None, description="Train a few weights beside those of the base, which stay as they are."
    )
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the weights, which is what is kept.",
    )
    patience: int | None = Field(
        default=None, ge=1, description="Epochs without a better validation after which training ends."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="The numbers a network computes in; `auto` is bfloat16 where the processor is faster by it.",
    )
    packing: bool = Field(
        default=False,
        description="Whether texts stand side by side in place of padding, none of which sees another.",
    )
    checkpointing: bool = Field(
        default=False, description="Whether activations are computed again in place of being kept."
    )
    on_oom: Literal["stop", "split"] = Field(
        default="stop",
        description="When memory is short: stop, or go on with a step's rows in more parts.",
    )
    seed: int = Field(default=1, ge=0)
    checkpoint_s: float = Field(default=20.0, gt=0, description="Seconds between checkpoints.")
    keep_checkpoints: int = Field(
        default=2, ge=1, le=1000, description="How many stay, the newest; the best weights are part of each."
    )


class Model(Document):
    kind: Literal["model"] = "model"
    task: str = Field(description="A file in modelhall/tasks.")
    data: Reference = Field(
        description="The data set: name follows its newest version, name@version pins one."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="Which column plays which part, such as {text: review}."
    )
    network: Network | None = Field(
        default=None, description="What is trained from random weights; beside a base, the rows' length."
    )
    base: str | None = Field(
        default=None,
        description="Whose weights and tokenizer it starts from: a folder, hf://OWNER/NAME, package://…, or "
        "model://NAME.",
    )
    teacher: Teacher | None = Field(default=None, description="model://NAME, which it learns from as well.")
    train: Train = Field(default_factory=Train)
    require: dict[str, RequirementText] = Field(
        default_factory=dict,
        description="Metric → comparison on the test split, such as '>= 0.85'; `accuracy[sex]` is that of every "
        "slice by a column, `accuracy[sex=Female]` of one.",
    )
    slices: tuple[str, ...] = Field(
        default=(), description="Columns of the test split by whose values metrics are also measured."
    )
    compress: WrittenCompress | None = Field(
        default=None, description="How it is made smaller once it is trained; as it was trained if not said."
    )
    search: Search | None = Field(
        default=None,
        description="Fields that are tried with several values; the best trial becomes the version.",
    )
    card: Card = Field(default_factory=Card, description="What only people know of it, for its model card.")
    resources: Resources = Field(default_factory=Resources)


class Signature(Frozen):
    """Proof that a version is what this hall made."""

    artifact: str
    """Digest of the folder that holds it."""
    key: str
    """Id of the key it was made with: the SHA-256 of the public key in PEM."""


class Difference(Frozen):
    """One figure of two versions on the same rows."""

    before: float
    after: float
    interval: tuple[float, float]
    """In which what the later has more than the earlier lies with 95 % confidence."""
    p: float
    """How likely so large a difference, or a larger one, is between versions that are alike."""


class Comparison(Frozen):
    """How a version does beside an earlier one, row by row."""

    against: str
    """Id of the earlier version."""
    rows: int = 0
    figures: dict[str, Difference] = Field(default_factory=dict)
    """`accuracy`, where there are classes, and `loss`."""
    why_not: str = ""
    """Why they cannot be compared; empty when they were."""


class Evaluation(Frozen):
    """What was measured of a version and names labels or rows: in an artifact, for those who may see the data."""

    artifact: str
    comparison: Comparison | None = None
    """With the version that was served when this one was measured."""


class ModelVersion(Frozen):
    """One trained and measured state of a model; `id` is the digest of what it was made from."""

    id: str
    artifact: str
    accepted: bool
    refusal: str = ""
    """Each unmet requirement in words, such as `accuracy 0.81 < 0.85`."""
    metrics: dict[str, float]
    """On the test split; of slices as `accuracy[sex=Female]`."""
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """In which each metric lies with 95 % confidence."""
    rows: int = 0
    """How many rows it was measured on."""
    size_bytes: int
    parameters: int
    task: str
    data: str
    """`name@version` of the data set it was trained on."""
    base: Origin | None = None
    teacher: Origin | None = None
    train_run: str
    evaluate_run: str
    record: str | None = None
    """Artifact that tells how it was trained: its order, its curves, with what, for how long."""
    evaluation: Evaluation | None = None
    created_at: float
    engine: str = "torch"
    """The one it is measured by, and served by where a service names none."""
    compression: Compression | None = None
    """None for a version that is as it was trained."""
    signature: Signature | None = None
    """None until it is signed: what is refused never is, nor anything in a hall that does not sign."""
    erased_data: bool = False
    """Whether it was trained on rows that were erased since. It gives way to the next that is accepted."""

    @property
    def beside(self) -> dict[str, str]:
        """The artifacts that belong to it, by what they are."""
        found = {
            "signature": self.signature and self.signature.artifact,
            "training record": self.record,
            "evaluation": self.evaluation and self.evaluation.artifact,
        }
        return {what: artifact for what, artifact in found.items() if artifact}


class ModelStatus(Status):
    """States: new, waiting, searching, training, evaluating, compressing, signing, ready, refused, failed."""

    version: str | None = None
    """The version this document declares, accepted or not; the newest accepted one is what services follow."""
    versions: tuple[ModelVersion, ...] = ()
    search: SearchReport | None = None

    @property
    def accepted(self) -> ModelVersion | None:
        """The version a service that follows this model serves: the declared one, if it was accepted, else
        the newest that was. One that was trained on rows which were erased since is served as long as there is no
        other."""
        all_accepted = [v for v in self.versions if v.accepted]
        accepted = [v for v in all_accepted if not v.erased_data] or all_accepted
        declared = next((v for v in accepted if v.id == self.version), None)
        return declared or max(accepted, key=lambda v: v.created_at, default=None)


ModelResource = Resource[Model, ModelStatus]
