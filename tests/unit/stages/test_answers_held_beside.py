"""Answers told to their end and held beside those that are wanted: which they are, and what metrics make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from modelhall import tasks
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.stages.evaluate import answering
from modelhall.stages.evaluate.intervals import intervals
from modelhall.tasks import Answered, Predictions

TEXTS = ("bleu", "chrf", "exact_match", "rouge_l")
QUESTIONS = pl.DataFrame(
    {"instruction": ["tell the tide", "tell the bell"] * 8, "response": ["the tide is high", "it rings"] * 8}
)


def held(*pairs: tuple[str, str]) -> Predictions:
    """Answers told and wanted."""
    answered = [Answered(*pair) for pair in pairs]
    return Predictions(predicted=[0] * len(pairs), scores=np.zeros((len(pairs), 1)), answered=answered)


def measured(predictions: Predictions) -> dict[str, float]:
    return {name: plugins.load("metric", name).measure(predictions) for name in TEXTS}


def asked(frame: pl.DataFrame, **columns: str) -> tuple[list[str], list[str]]:
    """What the model is asked of each row, and the answers."""
    task: Any = tasks.fit("text-generation", {"train": frame}, columns)
    questions, answers = task.questions("train", frame)
    return [task.tokenizer.decode(row) for row in questions.inputs], answers


@pytest.mark.parametrize("text", ["the tide is high today", "今天的潮水很高"])
def test_the_very_answer_that_is_wanted_is_all_there_is(text: str) -> None:
    perfect = measured(held((text, text), (text, text)))
    assert perfect == pytest.approx({"bleu": 100, "chrf": 100, "exact_match": 1, "rouge_l": 1})
    nothing = measured(held(("", text), ("", text)))
    assert nothing == pytest.approx({"bleu": 0, "chrf": 0, "exact_match": 0, "rouge_l": 0})


def test_half_an_answer_is_half_right() -> None:
    half = measured(held(("the tide is high", "the tide is high and rising it seems")))
    assert half["rouge_l"] == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert half["exact_match"] == 0
    assert 0 < half["bleu"] < 50
    chinese = measured(held(("潮水", "潮水很高")))
    assert chinese["rouge_l"] == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_figures_of_texts_have_intervals() -> None:
    rows = held(*[("the tide is high", "the tide is high"), ("low", "the tide is high")] * 10)
    measure = plugins.load("metric", "exact_match").measure
    low, high = intervals(rows, {"exact_match": measure})["exact_match"]
    assert 0.2 < low < 0.5 < high < 0.8


def test_a_model_is_asked_as_a_caller_asks_it() -> None:
    questions, answers = asked(QUESTIONS)
    assert questions[0] == "User: tell the tide\nAssistant:"
    assert answers[:2] == ["the tide is high", "it rings"]


def test_of_a_conversation_the_last_answer_is_asked_for() -> None:
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "the tide?"},
        {"role": "assistant", "content": "high"},
        {"role": "user", "content": "thanks"},
    ]
    questions, answers = asked(pl.DataFrame({"messages": [talk] * 4}))
    assert questions[0].endswith("User: the tide?\nAssistant:")
    assert "hello" in questions[0]
    assert answers[0] == "high"


def test_of_two_answers_the_chosen_one_is_wanted() -> None:
    frame = pl.DataFrame({"prompt": ["ask"] * 4, "chosen": ["high tide"] * 4, "rejected": ["low"] * 4})
    assert asked(frame)[1] == ["high tide"] * 4


def test_a_question_that_leaves_no_room_for_an_answer_is_refused() -> None:
    task: Any = tasks.fit("text-generation", {"train": QUESTIONS}, {}, length=16)
    long = pl.DataFrame({"instruction": ["tell the tide " * 20], "response": ["high"]})
    with pytest.raises(Rejected, match=r"row 0 of test has .* before it answers"):
        task.questions("test", long)


def test_rows_of_text_alone_have_no_answers() -> None:
    frame = pl.DataFrame({"text": ["the tide is high and the bell rings"] * 8})
    task = tasks.fit("text-generation", {"train": frame}, {})
    with pytest.raises(Rejected, match="an instruction and a response"):
        answering.answered(task, None, "train", frame, held(), lambda done: None)


def test_answers_are_told_only_for_metrics_of_them() -> None:
    assert answering.are_needed(["perplexity", "chrf"])
    assert not answering.are_needed(["perplexity", "token_accuracy"])
