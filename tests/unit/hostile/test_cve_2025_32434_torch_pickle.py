"""CVE-2025-32434: PyTorch's `torch.load(weights_only=True)` ran code from old archives. CVE-2024-24590: ClearML
unpickled the artifacts it fetched. Here no model file is ever unpickled, whatever it is called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import loading
import payloads
import pytest
from watching import Unharmed

from modelhall.core.errors import HallError, Rejected

NAMES = ["model.safetensors", "network.json", "task.json", "config.json", "tokenizer.json"]


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_in_the_place_of_a_file_of_a_model_is_refused(
    name: str, wrap: Callable[[object], bytes], good: Path, tmp_path: Path, canary: Path, unharmed: Unharmed
) -> None:
    model = Path(shutil.copytree(good / "text", tmp_path / "text"))
    (model / name).write_bytes(wrap(payloads.calls(canary)[1]))
    with unharmed(), pytest.raises(Rejected, match=name):
        loading.load_text_model(model)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pkl", "model.npz", "pytorch_model.bin.index.json"]
)
@pytest.mark.parametrize("part", ["image", "text"])
def test_a_pickle_beside_the_weights_is_not_looked_at_even_when_there_are_no_others(
    part: str, name: str, good: Path, tmp_path: Path, canary: Path, unharmed: Unharmed
) -> None:
    model = Path(shutil.copytree(good / part, tmp_path / part))
    (model / name).write_bytes(payloads.as_torch(payloads.calls(canary)[0]))
    load = loading.load_image_model if part == "image" else loading.load_text_model
    with unharmed():
        load(model)
    (model / "model.safetensors").unlink()
    with unharmed(), pytest.raises(HallError, match=r"model\.safetensors"):
        load(model)


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
def test_a_checkpoint_that_is_a_pickle_is_passed_over_though_its_digest_is_right(
    wrap: Callable[[object], bytes], good: Path, tmp_path: Path, canary: Path, unharmed: Unharmed
) -> None:
    place = Path(shutil.copytree(good / "checkpoints", tmp_path / "checkpoints"))
    loading.seal_checkpoint(place, wrap(payloads.calls(canary)[2]))
    with unharmed(), pytest.raises(loading.Passed):
        loading.load_checkpoint(place)
