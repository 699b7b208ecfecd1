"""A loaded version: what becomes of requests that cannot be read, and of those in a batch with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelhall.core.errors import Broken, Rejected
from modelhall.serving.model import Model, Request
from modelhall.tasks import Examples, Predictions, Tensor


class Words:
    """Echoes words; one is refused, and one it stumbles over."""

    inputs = outputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)

    def read(self, request: Request) -> Examples:
        (word,) = request["text"].data
        if word == "bad":
            raise Rejected("no such word")
        if word == "stumbles":
            raise KeyError(word)
        return Examples(inputs=[word])

    def answer(self, predictions: Predictions) -> list[Tensor]:
        found = predictions.predicted
        return [Tensor(name="word", datatype="BYTES", shape=(len(found),), data=list(found))]


class Echo:
    def predict(self, examples: Examples, *, batch: int) -> Predictions:
        return Predictions(predicted=examples.inputs, scores=np.zeros((len(examples), 1), dtype=np.float32))


@pytest.mark.parametrize("order", [("a", "stumbles", "bad", "b"), ("stumbles", "bad", "a", "b")])
def test_each_request_of_a_batch_stands_or_falls_by_itself(order: tuple[str, ...]) -> None:
    task: Any = Words()
    answers = Model(task, Echo(), batch=4).answer([_request(word) for word in order])
    by_word = dict(zip(order, answers, strict=True))
    for word in "ab":
        (tensor,) = by_word[word]
        assert tensor.data == [word]
    assert isinstance(by_word["bad"], Rejected)
    assert isinstance(by_word["stumbles"], Broken)


def _request(word: str) -> dict[str, Tensor]:
    return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=[word])}
