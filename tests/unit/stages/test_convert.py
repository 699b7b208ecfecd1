"""The stage that converts a version for an engine: from what the hall has signed, by what it has ordered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelhall import tasks
from modelhall.core.errors import Rejected
from modelhall.core.libraries import installed
from modelhall.core.orders import ConvertOrder
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.serving.engines import Generator, Sampling, openvino_genai, torch
from modelhall.stages import convert

sys.path.append(str(Path(__file__).parents[1] / "serving"))
from tellers import ids, made, tell

pytest.importorskip("openvino_genai", reason="the extra `openvino` is not installed")

Orders = Callable[..., Order]
PROMPTS = [[5, 9, 40], [7, 7, 30, 31, 32, 60, 3]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made(tmp_path / "llama")


def convert_order(artifact: str, **changes: Any) -> ConvertOrder:
    asked = {"libraries": installed(openvino_genai.CONVERTED_BY), **changes}
    return ConvertOrder(
        version="ab" * 32, model=artifact, task="text-generation", engine="openvino-genai", **asked
    )


def converted(order: Order) -> str:
    return str(convert.carry_out(order, Reporter(order.work))["artifact"])


@contextmanager
def telling(engine: Generator) -> Iterator[list[list[int]]]:
    """What an engine tells behind each prompt."""
    try:
        yield [ids(one) for one in tell(engine, *((prompt, Sampling(most=8)) for prompt in PROMPTS))]
    finally:
        engine.close()


def test_what_is_converted_is_all_that_the_engine_needs_to_tell_the_same_text(
    order: Orders, model: Path
) -> None:
    made = order(convert_order(open_blobs(order({})).put_folder(model)))
    with unpacked(made, converted(made)) as folder:
        assert not list(folder.glob("*.safetensors"))
        task = tasks.load("text-generation", folder)
        loaded = openvino_genai.generator(folder, task, threads=1, slots=2)
    with telling(loaded) as told, telling(torch.generator(model, task, threads=1, slots=2)) as expected:
        assert told == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"public_key": "of somebody"}, "version abababab was never signed"),
        ({"libraries": {"openvino": "1.0"}}, "not 1.0, which the hall has; install the same on both"),
        ({"libraries": {"no-such-library": "1.0"}}, "this node has no-such-library not at all"),
    ],
)
def test_nothing_is_converted_that_is_not_signed_or_by_other_libraries_than_were_ordered(
    order: Orders, model: Path, changes: dict[str, Any], said: str
) -> None:
    asked = order(convert_order(open_blobs(order({})).put_folder(model), **changes))
    with pytest.raises(Rejected, match=said):
        convert.carry_out(asked, Reporter(asked.work))


def test_a_family_that_cannot_be_converted_is_told_to_be_served_by_torch(
    order: Orders, tmp_path: Path
) -> None:
    artifact = open_blobs(order({})).put_folder(made(tmp_path / "rnn", "rnn"))
    asked = order(convert_order(artifact))
    with pytest.raises(Rejected, match="`engine: torch` serves every family"):
        convert.carry_out(asked, Reporter(asked.work))
