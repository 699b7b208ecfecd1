"""Which resources a document names: the pipeline is nothing but these."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.core import dataset_sources
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
            field: Key("dataset", document.project, split_reference(url.removeprefix(DATASET_SCHEME))[0])
            for field, url in dataset_sources.sources(document).items()
            if url.startswith(DATASET_SCHEME)
        }
    return {}


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
