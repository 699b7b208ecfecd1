"""Every engine that tells texts keeps the same contract, over networks as the hall trains them."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from modelhall import tasks
from modelhall.core import plugins
from modelhall.serving.engines import Generator, Sampling, Token, vllm

sys.path.append(str(Path(__file__).parents[1] / "unit" / "serving"))
from tellers import ids, made, tell

NEEDS = {"openvino-genai": "openvino_genai"}
ENGINES = ["torch", "openvino-genai", "vllm"]
PEER = Path(__file__).parents[2] / ".peers/vllm/bin/vllm"
"""Where a vLLM for tests is looked for, in an environment of its own, if none is named by a variable."""
PROMPTS = [[5, 9, 40], [7, 7, 30, 31, 32, 60, 3], [100], [20, 21, 22, 23]]
GREEDY = Sampling(most=12)
DRAWN = Sampling(most=12, temperature=1.0, top_p=0.9, seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # On processors vLLM has no heads of fewer than 32, and pages of 128 tokens.
    return made(tmp_path_factory.mktemp("made") / "llama", length=256, hidden=64, heads=2)


@pytest.fixture(scope="module")
def engines(folder: Path) -> Iterator[Callable[[str], Generator]]:
    """Each engine, loaded once; all of them end when they are told to."""
    loaded: dict[str, Generator] = {}

    def engine_of(name: str) -> Generator:
        if name not in loaded:
            loaded[name] = load(name, folder)
        return loaded[name]

    yield engine_of
    for one in loaded.values():
        one.close()


def load(name: str, folder: Path) -> Generator:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    if name == "vllm" and vllm.EXECUTABLE not in os.environ:
        if not PEER.exists():
            pytest.skip(f"no vLLM here: {vllm.EXECUTABLE} names none, and there is no .peers/vllm")
        os.environ[vllm.EXECUTABLE] = str(PEER)
    task = tasks.load("text-generation", folder)
    module = plugins.load("engine", name)
    if hasattr(module, "convert"):
        into = folder.with_name(name)
        into.mkdir()
        task.save(into)
        module.convert(folder, task, into)
        folder = into
    found: Generator = module.generator(folder, task, threads=1, slots=4)
    return found


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: Callable[[str], Generator]) -> Generator:
    return engines(request.param)


def test_every_engine_that_tells_texts_is_tested_here() -> None:
    found = [name for name in plugins.names("engine") if hasattr(plugins.load("engine", name), "generator")]
    assert sorted(found) == sorted(ENGINES)


@pytest.mark.parametrize("name", plugins.names("engine"))
def test_an_engine_that_converts_says_what_shapes_the_result(name: str) -> None:
    module = plugins.load("engine", name)
    assert hasattr(module, "convert") == bool(plugins.constant("engine", name, "CONVERTED_BY", ()))


def test_a_text_is_as_long_as_was_asked_for(engine: Generator) -> None:
    (told,) = tell(engine, (PROMPTS[0], GREEDY))
    assert len(told) == 12
    assert [token.end for token in told] == [None] * 11 + ["length"]


def test_a_text_is_the_same_among_others(engine: Generator) -> None:
    together = tell(engine, *((prompt, GREEDY) for prompt in PROMPTS))
    alone = [tell(engine, (prompt, GREEDY))[0] for prompt in PROMPTS]
    assert list(map(ids, together)) == list(map(ids, alone))


def test_a_prompt_that_was_read_before_is_told_as_such_where_the_engine_knows(engine: Generator) -> None:
    long = [7 + place % 90 for place in range(200)]
    (first,), (again,) = (tell(engine, (long, Sampling(most=3))) for _ in range(2))
    assert {token.cached for token in (*first[:-1], *again[:-1])} == {None}
    if again[-1].cached is None:
        pytest.skip("it does not tell")
    assert (first[-1].cached, again[-1].cached >= 128) == (0, True)


def test_a_text_is_as_likely_when_it_is_read_as_it_was_when_it_was_told(engine: Generator) -> None:
    if not engine.scores:
        pytest.skip("it tells no probabilities of what is given")
    (told,) = tell(engine, (PROMPTS[1], Sampling(most=5, logprobs=2)))
    first, *behind = engine.score([*PROMPTS[1], *ids(told)], 2)
    assert math.isnan(first.logprob)
    again = behind[len(PROMPTS[1]) - 1 :]
    assert ids(again) == ids(told)
    assert [token.logprob for token in again] == pytest.approx([token.logprob for token in told], abs=1e-4)
    assert [token.top[0][0] for token in again] == [token.top[0][0] for token in told]


def test_whoever_comes_later_joins_those_under_way(engine: Generator) -> None:
    alone = [ids(tell(engine, (prompt, GREEDY))[0]) for prompt in PROMPTS]
    told: dict[int, list[int]] = {key: [] for key in range(len(PROMPTS))}
    over, steps = set(), 0
    while len(over) < len(PROMPTS):
        if steps % 3 == 0 and steps // 3 < len(PROMPTS):
            engine.add(steps // 3, PROMPTS[steps // 3], GREEDY)
        for token in engine.step():
            told[token.key].append(token.id)
            over |= {token.key} if token.end else set()
        steps += 1
    assert list(told.values()) == alone


def test_an_end_token_ends_the_text_and_is_its_last(engine: Generator) -> None:
    whole = ids(tell(engine, (PROMPTS[1], GREEDY))[0])
    end = whole[4]
    (told,) = tell(engine, (PROMPTS[1], Sampling(most=12, ends=frozenset({end}))))
    assert ids(told) == whole[: whole.index(end) + 1]
    assert told[-1].end == "stop"


def test_a_seed_tells_the_same_alone_and_among_others(engine: Generator) -> None:
    (alone,) = tell(engine, (PROMPTS[0], DRAWN))
    others = tell(engine, *((prompt, DRAWN) for prompt in reversed(PROMPTS)))
    assert ids(others[-1]) == ids(alone)


def test_other_seeds_tell_other_texts(engine: Generator) -> None:
    seeds = [Sampling(most=12, temperature=1.0, seed=seed) for seed in range(4)]
    assert len({tuple(ids(told)) for told in tell(engine, *((PROMPTS[0], one) for one in seeds))}) > 1


def test_almost_no_mass_is_the_likeliest_token(engine: Generator) -> None:
    (drawn,) = tell(engine, (PROMPTS[0], Sampling(most=12, temperature=1.0, top_p=1e-6, seed=3)))
    assert ids(drawn) == ids(tell(engine, (PROMPTS[0], GREEDY))[0])


def test_probabilities_are_told_where_they_are_asked_for(engine: Generator) -> None:
    (told,) = tell(engine, (PROMPTS[0], Sampling(most=4, logprobs=0)))
    assert all(token.logprob < 0 for token in told)


def test_who_has_left_is_told_nothing_and_the_others_go_on(engine: Generator) -> None:
    expected = ids(tell(engine, (PROMPTS[1], GREEDY))[0])
    engine.add(10, PROMPTS[0], GREEDY)
    engine.add(11, PROMPTS[1], GREEDY)
    told: list[Token] = []
    while len(told) < 3:
        told += engine.step()
    engine.cancel(10)
    while told[-1].end is None:
        coming = engine.step()
        assert all(token.key == 11 for token in coming)
        told += coming
    assert [token.id for token in told if token.key == 11] == expected


def test_who_leaves_before_the_first_step_was_never_there(engine: Generator) -> None:
    engine.add(20, PROMPTS[0], GREEDY)
    engine.cancel(20)
    engine.cancel(99)
    assert len(tell(engine, (PROMPTS[1], GREEDY))[0]) == 12


@pytest.mark.parametrize("told", [1, 5, 11])
def test_a_text_goes_on_behind_what_was_told_elsewhere(engine: Generator, told: int) -> None:
    for sampling in (GREEDY, DRAWN) if engine.counts_told else (GREEDY,):
        for prompt in PROMPTS[:2]:
            whole = ids(tell(engine, (prompt, sampling))[0])
            (rest,) = tell(engine, (prompt, replace(sampling, told=tuple(whole[:told]))))
            assert ids(rest) == whole[told:]
            assert rest[-1].end == "length"


def test_an_engine_aside_starts_nothing_that_would_outlive_it(engines: Callable[[str], Generator]) -> None:
    engine = engines("openvino-genai")
    tell(engine, (PROMPTS[0], GREEDY))
    assert psutil.Process(engine.pid).children() == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ENGINES[1:])
def test_all_engines_tell_the_same_likeliest_text(engines: Callable[[str], Generator], name: str) -> None:
    asked = [(one, GREEDY) for one in PROMPTS]
    assert list(map(ids, tell(engines(name), *asked))) == list(map(ids, tell(engines("torch"), *asked)))
