"""The process of the engine `openvino-genai`: its pipeline over a converted network, computed in float32, so that it
tells what torch would tell."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai as genai

from modelhall.core.errors import Broken, Rejected
from modelhall.serving.engines import End, Sampling, Token
from modelhall.serving.engines._aside import serve

_BLOCK = 32
"""Tokens a page holds on a processor."""
_AT_ONCE = 512
"""Tokens that go through the network in one step: longer prompts are read in parts, between others' tokens."""


def load(*, folder: str, threads: int, slots: int, reads: int) -> OpenVinoGenerator:
    """The converted network in `folder`, with room for `slots` texts of `reads` tokens."""
    plan = genai.SchedulerConfig()
    plan.num_kv_blocks = (slots + 1) * math.ceil((reads + 1) / _BLOCK)
    plan.max_num_seqs = slots
    plan.max_num_batched_tokens = _AT_ONCE
    plan.enable_prefix_caching = True
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
    }
    return OpenVinoGenerator(genai.ContinuousBatchingPipeline(folder, plan, "CPU", properties))


class OpenVinoGenerator:
    alternatives = 0
    schemas = True
    penalties = False
    """The pipeline adds them to logits below zero, where the field takes them away."""
    counts_told = False

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._texts: dict[int, Any] = {}
        """The pipeline's handle on each text."""

    @property
    def spent_s(self) -> float:
        return time.process_time()

    @property
    def memory_used(self) -> float | None:
        """All the pipeline tells of its pages; of the prefixes it finds there, it tells nothing."""
        return float(self._pipeline.get_metrics().cache_usage) / 100

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        ids = ov.Tensor(np.array([[*prompt, *sampling.told]], dtype=np.int64))
        try:
            self._texts[key] = self._pipeline.add_request(key, ids, _configured(sampling))
        except (RuntimeError, ValueError) as error:
            raise Rejected(f"openvino-genai does not take this: {_last_words(error)}") from None

    def step(self) -> list[Token]:
        self._pipeline.step()
        told = []
        for key, handle in list(self._texts.items()):
            while handle.can_read():
                for part in handle.read().values():
                    told += self._tokens(key, part)
            if key in self._texts and handle.get_status() != genai.GenerationStatus.RUNNING:
                raise Broken(f"openvino-genai gave up a text: {handle.get_status()}")
        return told

    def cancel(self, key: int) -> None:
        handle = self._texts.pop(key, None)
        if handle is None:
            return
        handle.cancel()
        if not self._texts and self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # in which the pages of cancelled texts are let go of

    def _tokens(self, key: int, part: Any) -> list[Token]:
        """What was told of a text since it was last looked at."""
        end = _ENDS.get(part.finish_reason)
        if end is not None:
            del self._texts[key]
        last = len(part.generated_ids) - 1
        return [
            Token(key, id, end if place == last else None, logprob)
            for place, (id, logprob) in enumerate(
                zip(part.generated_ids, part.generated_log_probs, strict=True)
            )
        ]


_ENDS: dict[Any, End] = {
    genai.GenerationFinishReason.STOP: "stop",
    genai.GenerationFinishReason.LENGTH: "length",
}


def _last_words(error: Exception) -> str:
    """What it says without where in its sources it says so."""
    return str(error).strip().splitlines()[-1][:300]


def _configured(sampling: Sampling) -> Any:
    config = genai.GenerationConfig()
    config.max_new_tokens = sampling.most - len(sampling.told)
    ends = set(sampling.ends) or {0}  # the pipeline wants one, also where it is ignored
    config.stop_token_ids = ends
    config.set_eos_token_id(min(ends))
    config.ignore_eos = not sampling.ends
    config.logprobs = 0 if sampling.logprobs is None else 1
    config.do_sample = sampling.temperature > 0
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        config.rng_seed = sampling.seed
    if sampling.schema is not None:
        config.structured_output_config = genai.StructuredOutputConfig(json_schema=sampling.schema)
    return config


if __name__ == "__main__":
    serve(load)
