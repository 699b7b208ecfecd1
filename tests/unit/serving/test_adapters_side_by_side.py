"""One base, many adapters: texts of all of them share a batch, and each is told as if it were alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tellers import adapted, ids, made, tell

from modelhall import networks, tasks
from modelhall.core.errors import Rejected
from modelhall.serving.engines import Generator, Sampling
from modelhall.serving.engines.torch import adapted_generator, generator

PROMPTS = [[5, 9, 40], [7, 7, 30, 31, 32, 60, 3], [100], [20, 21, 22, 23]]
GREEDY = Sampling(most=12)
LORAS = {
    "narrow": {"seed": 1, "rank": 2, "alpha": 4, "targets": ("q_proj", "v_proj")},
    "wide": {"seed": 2, "rank": 8, "alpha": 8},
    "late": {"seed": 3, "rank": 4, "targets": ("model.layers.1.mlp.*",)},
}
"""Of different ranks, on different layers."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "llama")


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("adapters")
    return {name: adapted(base, place / name, **lora) for name, lora in LORAS.items()}  # type: ignore[arg-type]


def together(folder: Path, adapters: Mapping[str, Path]) -> Generator:
    task = tasks.load("text-generation", folder)
    return adapted_generator(folder, adapters, task, threads=1, slots=8)


def alone(folder: Path, prompt: list[int]) -> list[int]:
    """What a replica of this model and no other tells."""
    engine = generator(folder, tasks.load("text-generation", folder), threads=1, slots=1)
    return ids(tell(engine, (prompt, GREEDY))[0])


def by(name: str) -> Sampling:
    return replace(GREEDY, adapter=name)


@pytest.mark.parametrize("own", ["base", "narrow"])
def test_texts_of_different_adapters_in_one_batch_are_told_as_each_is_told_alone(
    base: Path, adapters: dict[str, Path], own: str
) -> None:
    folder = adapters.get(own, base)
    others = {name: place for name, place in adapters.items() if name != own}
    asked = [("", folder), *others.items(), ("wide", adapters["wide"])]
    texts = [(PROMPTS[place % 4], by(name)) for place, (name, _) in enumerate(asked)]
    told = list(map(ids, tell(together(folder, others), *texts)))
    assert told == [alone(place, PROMPTS[at % 4]) for at, (_, place) in enumerate(asked)]
    assert len({tuple(alone(place, PROMPTS[0])) for _, place in asked}) == len(others) + 1


def test_whoever_comes_and_goes_leaves_the_others_with_their_adapters(
    base: Path, adapters: dict[str, Path]
) -> None:
    engine = together(base, adapters)
    names = ["wide", "", "late", "narrow"]
    told: dict[int, list[int]] = {key: [] for key in range(4)}
    for step in range(40):
        if step % 3 == 0 and step < 12:
            engine.add(step // 3, PROMPTS[step // 3], by(names[step // 3]))
        if step == 7:
            engine.cancel(1)
        for token in engine.step():
            told[token.key].append(token.id)
    for key in (0, 2, 3):
        assert told[key] == alone(adapters[names[key]], PROMPTS[key])


def test_vectors_and_probabilities_are_by_the_adapter_that_is_asked(
    base: Path, adapters: dict[str, Path]
) -> None:
    engine = together(base, adapters)
    task = tasks.load("text-generation", base)
    for name, folder in adapters.items():
        own = generator(folder, task, threads=1, slots=1)
        assert engine.embed(PROMPTS[:1], name)[0] == pytest.approx(own.embed(PROMPTS[:1])[0], abs=1e-4)
        scored = [
            [token.logprob for token in one.score(PROMPTS[1], 1, who)[1:]]
            for one, who in ((engine, name), (own, ""))
        ]
        assert scored[0] == pytest.approx(scored[1], abs=1e-4)


def test_an_adapter_whose_numbers_are_none_spoils_no_other_row(
    base: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    broken = adapted(base, tmp_path / "broken", seed=4, rank=2)
    file = broken / "adapter_model.safetensors"
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(file).items()}, file)
    engine = together(base, {**adapters, "broken": broken})
    texts = [(PROMPTS[0], by("broken")), (PROMPTS[1], by("wide")), (PROMPTS[2], by(""))]
    _, wide, plain = map(ids, tell(engine, *texts))
    assert (wide, plain) == (alone(adapters["wide"], PROMPTS[1]), alone(base, PROMPTS[2]))


def test_a_base_is_held_once_and_adapters_add_their_own_numbers_alone(
    base: Path, adapters: dict[str, Path]
) -> None:
    loaded = networks.load_adapted(base, adapters)
    plain = networks.load(base)
    assert [p.shape for p in loaded.module.parameters()] == [p.shape for p in plain.parameters()]
    stored = [load_file(place / "adapter_model.safetensors") for place in adapters.values()]
    assert loaded.size_bytes == sum(tensor.nbytes for one in stored for tensor in one.values())


def test_what_is_no_adapter_or_one_of_another_network_is_refused(
    base: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match="'plain' is a network of its own"):
        together(base, {"plain": base})
    other = made(tmp_path / "other", hidden=32)
    with pytest.raises(Rejected, match="lora_A"):
        together(base, {"other": adapted(other, tmp_path / "of-other", seed=1, rank=2)})
