"""`dataset`: a source and the steps that prepare it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from modelhall.core.kinds.base import Document, Frozen, Resource, Resources, Status
from modelhall.core.kinds.choice import AS_WRITTEN, Choice

SPLITS = ("train", "validation", "test")
Split = Literal["train", "validation", "test"]


class Format(Frozen):
    """How the source is to be read; what is not said is found out from the names and the content of its files."""

    type: str | None = Field(
        default=None,
        description="csv, tsv, json, jsonl, parquet, arrow, txt, documents, images, audio or npz.",
    )
    encoding: str | None = Field(default=None, description="Of text, such as gb18030; found out if not said.")
    header: bool = Field(
        default=True, description="Whether the first line of a csv or tsv names the columns."
    )
    columns: tuple[str, ...] | None = Field(default=None, description="Column names, in file order.")
    types: dict[str, Literal["int", "float", "str", "bool"]] = Field(
        default_factory=dict, description="Types of columns, instead of those the values tell."
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Between the fields of a csv; a comma if not said.",
    )
    quote: str | None = Field(
        default=None, max_length=1, description="Around fields of a csv; empty if it has no such character."
    )
    trim: bool = Field(
        default=False, description="Whether blanks around the fields of a csv or tsv are dropped."
    )
    rows: Literal["line", "paragraph", "file"] = Field(default="line", description="What a row of a txt is.")
    names: str | None = Field(
        default=None,
        description="What the parts of a picture's or a sound's file name are, such as `{label}_{speaker}`.",
    )
    members: str | None = Field(
        default=None, description="Which files of a folder or an archive are meant, such as `*.csv`."
    )
    query: str | None = Field(default=None, description="What is asked of a database, in SQL; it reads only.")

    @property
    def options(self) -> dict[str, Any]:
        """What was said for the format itself to know."""
        return self.model_dump(mode="json", exclude={"type", "members", "query"}, exclude_defaults=True)


class Step(Choice):
    """One preparation step. In a hall file: `- clean` or `- clean: {strip_html: true}`."""


WrittenStep = Annotated[Step, AS_WRITTEN]


class Dataset(Document):
    kind: Literal["dataset"] = "dataset"
    source: str | dict[Split, str] = Field(
        description="A path or glob, or package://…; or one such for each of train, validation and test."
    )
    format: Format = Field(default_factory=Format)
    prepare: tuple[WrittenStep, ...] = Field(default=(), description="Steps, in order.")
    max_damaged: float = Field(
        default=0.01, ge=0, le=1, description="Largest share of damaged rows that may be skipped."
    )
    licence: str = Field(
        default="",
        max_length=1_000,
        description="Of the source, for the cards of models that are made from it.",
    )
    resources: Resources = Field(default_factory=Resources)

    @model_validator(mode="after")
    def _has_no_workers(self) -> Self:
        if self.resources.workers.max > 1:
            raise ValueError("resources.workers: only training has them; give preparation more `cpus`")
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Every source by the split it fills; `all` when one source is yet to be split."""
        if isinstance(self.source, str):
            return {"all": self.source}
        return {str(split): url for split, url in self.source.items()}


class Column(Frozen):
    name: str
    type: str


class SourceFile(Frozen):
    """One file a version was made from."""

    path: str
    digest: str
    size_bytes: int


class StepReport(Frozen):
    """What one step did to the rows."""

    name: str
    rows_in: int
    rows_out: int
    dropped: dict[str, int] = Field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class DatasetVersion(Frozen):
    """One prepared state of a data set; `id` is the digest of its sources' content and its steps."""

    id: str
    artifact: str
    run: str
    rows: dict[str, int]
    columns: tuple[Column, ...]
    size_bytes: int
    sources: tuple[SourceFile, ...]
    steps: tuple[StepReport, ...]
    created_at: float
    erasures: tuple[str, ...] = ()
    """The erasures that were carried out when it was made."""
    erased: str | None = None
    """The erasure whose rows it held, once its content has been deleted; its record stays."""


class Erasure(Frozen):
    """Rows that are to be in no version any more. Which rows, only a secret of the project says (`secret_of`)."""

    id: str
    """Tells nothing of the rows, and is the same for the same words."""
    at: float
    by: str
    clean: tuple[str, ...] = ()
    """Versions that were there when it was asked for and held no such row: these are kept."""


def secret_of(erasure: str) -> str:
    """The name of the secret that says which rows an erasure is about."""
    return f"erasure-{erasure}"


class DatasetStatus(Status):
    """States: new, preparing, ready, failed."""

    version: str | None = None
    versions: tuple[DatasetVersion, ...] = ()
    """In the order in which they were made."""
    erasures: tuple[Erasure, ...] = ()
    """Asked for by people, and here because no document that is applied again may take them back."""

    @property
    def current(self) -> DatasetVersion | None:
        return next((v for v in self.versions if v.id == self.version), None)


DatasetResource = Resource[Dataset, DatasetStatus]
