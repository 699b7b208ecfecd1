"""A replica warms up with what its task reads, whatever its callers are to send."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
import polars as pl
import torch
from PIL import Image

from modelhall import networks, tasks
from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds.model import Network
from modelhall.serving.model import Model
from modelhall.tasks import Examples, Predictions, Tensor


class Engine:
    """A network as it was built."""

    def __init__(self, task: tasks.Task) -> None:
        self.rows: list[int] = []
        self._task = task
        self._network = networks.build(Network(family="cnn", channels=[2]), task.shape).eval()

    def predict(self, examples: Examples, *, batch: int) -> Predictions:
        self.rows.append(len(examples))
        return tasks.predict(self._task, self._network, examples, batch=batch)


def only_sounds(request: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    raise Rejected("audio of row 0 is no sound")


def test_a_model_whose_callers_send_sounds_is_warmed_up_with_the_pictures_it_reads() -> None:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, format="PNG")
    rows = pl.DataFrame({"image": [buffer.getvalue()] * 2, "label": ["a", "b"]})
    task = tasks.fit("image-classification", {"train": rows}, {})
    engine = Engine(task)
    model = Model(task, engine, batch=3, prepare=only_sounds)
    model.warm_up()
    assert engine.rows == [1, 3]
    sent = [base64.b64encode(buffer.getvalue()).decode()]
    (answer,) = model.answer([{"image": Tensor(name="image", datatype="BYTES", shape=(1,), data=sent)}])
    assert isinstance(answer, HallError)
    assert "no sound" in str(answer)
