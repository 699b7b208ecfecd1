"""Which resources a document names: the pipeline is nothing but these."""

from __future__ import annotations

from modelhall.core.kinds import Dataset, Document, Key, Model, Service
from modelhall.core.names import split_reference

DATASET_SCHEME = "dataset://"


def references(document: Document) -> dict[str, Key]:
    """Field → the resource it names, for every field of `document` that names one."""
    if isinstance(document, Service):
        return {"model": Key("model", document.project, split_reference(document.model)[0])}
    if isinstance(document, Model):
        return {"data": Key("dataset", document.project, split_reference(document.data)[0])}
    if isinstance(document, Dataset):
        return {
            "source" if split == "all" else f"source.{split}": Key(
                "dataset", document.project, split_reference(source.removeprefix(DATASET_SCHEME))[0]
            )
            for split, source in document.sources.items()
            if source.startswith(DATASET_SCHEME)
        }
    return {}


def find_cycle(graph: dict[Key, list[Key]]) -> list[Key] | None:
    """A ring of resources each of which waits for the next, the first repeated at its end; None without."""
    done: set[Key] = set()
    for start in sorted(graph):
        trail: list[Key] = []
        found = _walk(start, graph, trail, done)
        if found:
            return found
    return None


def _walk(key: Key, graph: dict[Key, list[Key]], trail: list[Key], done: set[Key]) -> list[Key] | None:
    if key in trail:
        return [*trail[trail.index(key) :], key]
    if key in done:
        return None
    trail.append(key)
    for following in graph.get(key, []):
        found = _walk(following, graph, trail, done)
        if found:
            return found
    trail.pop()
    done.add(key)
    return None
