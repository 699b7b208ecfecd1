"""An engine by itself, without a replica around it, which tells when it is told to.

    python bench/support/bare_engine.py ENGINE FOLDER

Reads lines `TEXTS TOKENS`, and prints `> TOKENS_S FIRST_MS` for each: so many texts at once, each of so many tokens.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from streams import Told, prompts

from modelhall import tasks
from modelhall.core import plugins
from modelhall.serving.engines import Sampling

SLOTS = 32
Tell = Callable[[Sequence[Sequence[int]], int], Told]


def main(name: str, folder: Path) -> None:
    torch.set_num_threads(1)
    tell = with_ctranslate2(folder) if name == "ctranslate2" else with_steps(loaded(name, folder))
    tell(prompts(1), 1)
    print("> ready", flush=True)
    for line in sys.stdin:
        many, tokens = map(int, line.split())
        told = tell(prompts(many), tokens)
        print(f"> {told.tokens_s} {told.first_ms}", flush=True)


def loaded(name: str, folder: Path) -> Any:
    """An engine of the hall's, in this process also where a replica has it in another."""
    task = tasks.load("text-generation", folder)
    if name == "openvino-genai":
        from modelhall.serving.engines import _openvino_pipeline  # others do without OpenVINO

        return _openvino_pipeline.load(folder=str(folder), threads=1, slots=SLOTS, reads=task.reads)
    return plugins.load("engine", name).generator(folder, task, threads=1, slots=SLOTS)


def with_steps(engine: Any) -> Tell:
    told_before = 0

    def tell(asked: Sequence[Sequence[int]], tokens: int) -> Told:
        nonlocal told_before
        begun, first_s, left = time.perf_counter(), 0.0, len(asked)
        for key, prompt in enumerate(asked, told_before):
            engine.add(key, prompt, Sampling(most=tokens))
        told_before += len(asked)
        while left:
            told = engine.step()
            first_s = first_s or (time.perf_counter() - begun if told else 0.0)
            left -= sum(token.end is not None for token in told)
        return Told(len(asked) * tokens / (time.perf_counter() - begun), first_s * 1000)

    return tell


def with_ctranslate2(folder: Path) -> Tell:
    """Its own way to batch: all texts begin and end together."""
    from ctranslate2 import Generator, converters  # only the Python it was given to has it

    converted = folder.parent / "ctranslate2"
    converters.TransformersConverter(str(folder)).convert(str(converted), force=True)
    settings = json.loads((converted / "config.json").read_text())
    named = {name: value or "<|endoftext|>" for name, value in settings.items() if name.endswith("_token")}
    (converted / "config.json").write_text(json.dumps({**settings, **named}))
    generator = Generator(str(converted), intra_threads=1)
    words = tasks.load("text-generation", folder).tokenizer

    def tell(asked: Sequence[Sequence[int]], tokens: int) -> Told:
        begun = time.perf_counter()
        generator.generate_batch(
            [[words.id_to_token(id) for id in prompt] for prompt in asked], max_length=tokens, min_length=tokens,
            include_prompt_in_result=False, sampling_topk=1,
        )  # fmt: skip
        took_s = time.perf_counter() - begun
        return Told(len(asked) * tokens / took_s, took_s * 1000)

    return tell


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
