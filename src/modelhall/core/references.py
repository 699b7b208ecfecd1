"""Which resources a document names: the pipeline is nothing but these."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.core import dataset_sources
from modelhall.core.kinds import Dataset, Document, Key, Model, Service
from modelhall.core.names import split_reference

DATASET_SCHEME = "dataset://"
MODEL_SCHEME = "model://"


def references(document: Document) -> dict[str, Key]:
    """Field → the resource it names, for every field of `document` that names one."""
    if isinstance(document, Service):
        shadow = document.rollout.shadow
        models = {"model": document.model} | ({"rollout.shadow.model": shadow.model} if shadow else {})
        models |= {f"adapters.{name}": model for name, model in document.adapters.items()}
        return {
            field: Key("model", document.project, split_reference(model)[0])
            for field, model in models.items()
        }
    if isinstance(document, Model):
        return {
            "data": Key("dataset", document.project, split_reference(document.data)[0]),
            **_models(document),
        }
    if isinstance(document, Dataset):
        sources = dataset_sources.sources(document)
        return {field: of_url(url, document.project) for field, url in sources.items() if is_of_hall(url)}
    return {}


def _models(model: Model) -> dict[str, Key]:
    """The other models that a model is made from."""
    named = {"base": model.base, "teacher": model.teacher.model if model.teacher else None}
    return {
        field: of_url(url, model.project)
        for field, url in named.items()
        if url is not None and url.startswith(MODEL_SCHEME)
    }


def is_of_hall(url: str) -> bool:
    """Whether a source is what another resource made."""
    return url.startswith((DATASET_SCHEME, MODEL_SCHEME))


def of_url(url: str, project: str) -> Key:
    """The resource that `dataset://NAME` or `model://NAME`, with a version or without, names."""
    kind, _, reference = url.partition("://")
    return Key(kind, project, split_reference(reference)[0])


def artifact_of(url: str) -> str:
    """The digest in `dataset://NAME@ARTIFACT` or `model://NAME@ARTIFACT/TASK`, as orders have them."""
    return url.partition("@")[2].partition("/")[0]


def find_cycle(graph: dict[Key, list[Key]]) -> list[Key] | None:
    """A ring of resources each of which waits for the next, the first repeated at its end; None without."""
    done: set[Key] = set()
    for start in sorted(graph):
        # The way walked so far, each step with what is yet to be tried from there.
        trail: dict[Key, Iterator[Key]] = {} if start in done else {start: iter(graph[start])}
        while trail:
            key, untried = next(reversed(trail.items()))
            following = next(untried, None)
            if following is None:
                del trail[key]
                done.add(key)
            elif following in trail:
                way = list(trail)
                return [*way[way.index(following) :], following]
            elif following not in done:
                trail[following] = iter(graph.get(following, []))
    return None
