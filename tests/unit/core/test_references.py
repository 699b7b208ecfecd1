"""Which resources a document names, and rings among them."""

from __future__ import annotations

import graphlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.kinds import Dataset, Key, Model, Run, Service
from modelhall.core.kinds.model import Network
from modelhall.core.references import find_cycle, references

KEYS = [Key("dataset", "default", name) for name in "abcdef"]
GRAPHS = st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from(KEYS), max_size=3))


def test_every_field_that_names_a_resource_is_found_with_its_project() -> None:
    service = Service(name="s", project="team", model="m@3f2a")
    assert references(service) == {"model": Key("model", "team", "m")}
    model = Model(name="m", task="t", data="d", network=Network(family="cnn"))
    assert references(model) == {"data": Key("dataset", "default", "d")}
    made_of = {"base": "model://one@2", "teacher": {"model": "model://other"}}
    assert references(Model.model_validate({"name": "m", "task": "t", "data": "d", **made_of})) == {
        "data": Key("dataset", "default", "d"),
        "base": Key("model", "default", "one"),
        "teacher": Key("model", "default", "other"),
    }
    assert references(Run(name="r", command=("x",))) == {}


def test_a_data_set_names_those_it_is_made_of() -> None:
    one = Dataset(name="d", source="dataset://raw@12ab")
    assert references(one) == {"source": Key("dataset", "default", "raw")}
    some = Dataset(name="d", source={"train": "dataset://raw", "test": "a.csv"})
    assert references(some) == {"source.train": Key("dataset", "default", "raw")}
    assert references(Dataset(name="d", source="a.csv")) == {}


@given(GRAPHS)
def test_a_ring_is_found_exactly_when_there_is_one(graph: dict[Key, list[Key]]) -> None:
    ring = find_cycle(graph)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        assert ring is not None
        assert ring[0] == ring[-1]
        assert len(set(ring)) == len(ring) - 1 > 0
        assert all(after in graph[before] for before, after in itertools.pairwise(ring))
    else:
        assert ring is None


def test_what_waits_for_itself_is_a_ring() -> None:
    assert find_cycle({KEYS[0]: [KEYS[0]]}) == [KEYS[0], KEYS[0]]


def test_a_chain_of_any_length_is_followed() -> None:
    chain = [Key("dataset", "default", f"d{number}") for number in range(20_000)]
    graph = {before: [after] for before, after in itertools.pairwise(chain)}
    assert find_cycle(graph) is None
    ring = find_cycle(graph | {chain[-1]: [chain[0]]})
    assert ring is not None
    assert len(ring) == len(chain) + 1
