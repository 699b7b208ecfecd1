"""Every source a data set is made of, by the field it stands in: its own, and those that its steps name.

An option of a step that is annotated `Rows` or `File` is a source as `source` is: a relative path is taken from the
hall file's folder, another data set is waited for, a change makes a new version, and its digest is in the lineage. So
is one annotated `Model`, which names a model of the project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

from modelhall.core import plugins
from modelhall.core.kinds.dataset import Dataset, Step


class StepSource(NamedTuple):
    """A source that a step names."""

    place: int
    step: Step
    option: str
    sort: Literal["File", "Rows", "Model"]
    """Whether the step is given the file itself, the rows in it, or the folder of a model."""

    @property
    def field(self) -> str:
        return f"prepare.{self.place}.{self.step.name}.{self.option}"

    @property
    def url(self) -> str:
        return str(self.step.options[self.option])


def sources(dataset: Dataset) -> dict[str, str]:
    """Field → URL."""
    own = {_field(split): url for split, url in dataset.sources.items()}
    return own | {found.field: found.url for found in of_steps(dataset.prepare)}


def with_sources(dataset: Dataset, urls: Mapping[str, str]) -> Dataset:
    """The same data set with other URLs in these fields."""
    own = {split: urls.get(_field(split), url) for split, url in dataset.sources.items()}
    source = own["all"] if isinstance(dataset.source, str) else own
    return dataset.model_copy(update={"source": source, "prepare": steps_with(dataset.prepare, urls)})


def of_steps(steps: Sequence[Step]) -> list[StepSource]:
    """What the steps name; nothing of a step that is not there, which is for others to refuse."""
    return [
        StepSource(place, step, option, sort)
        for place, step in enumerate(steps)
        for option, sort in _sources_of(step.name).items()
        if isinstance(step.options.get(option), str)
    ]


def steps_with(steps: Sequence[Step], urls: Mapping[str, str]) -> tuple[Step, ...]:
    """The same steps with other URLs in these fields."""
    changed = list(steps)
    for found in of_steps(steps):
        options = changed[found.place].options | {found.option: urls.get(found.field, found.url)}
        changed[found.place] = Step(name=found.step.name, options=options)
    return tuple(changed)


@cache
def _sources_of(step: str) -> dict[str, Literal["File", "Rows", "Model"]]:
    """The options of a step that name sources. Kept, since a hall asks this of each of very many steps."""
    return plugins.sources_of("step", step, plugins.STEP) if step in plugins.names("step") else {}


def _field(split: str) -> str:
    return "source" if split == "all" else f"source.{split}"
