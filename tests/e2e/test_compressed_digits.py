"""Digits made smaller: the model that another one was trained for already, pruned, stored in 8 bits, and served."""

from __future__ import annotations

import pytest
from real_hall import MODEL, SERVICE, RealHall

pytestmark = pytest.mark.e2e

SMALL = "---\n".join(
    (
        MODEL.replace("name: digits", "name: digits-in-small")
        + "compress: {methods: [{prune: {share: 0.5, epochs: 1}}, {quantize: int8}], keep: 0.5}\n",
        SERVICE.replace("name: digits", "name: digits-in-small")
        .replace("model: digits", "model: digits-in-small")
        .replace("replicas: 2", "replicas: 1"),
    )
)


def test_a_compressed_model_is_smaller_signed_and_answers(hall: RealHall, picture: bytes) -> None:
    try:
        done = hall.apply(SMALL, "--wait")
        assert done.code == 0, done.err
        plain, small = (hall.get("model", name).status.accepted for name in ("digits", "digits-in-small"))
        assert small.size_bytes < 0.6 * plain.size_bytes
        assert small.parameters < plain.parameters
        assert small.signature is not None
        with hall.client as client:
            assert "label" in client.predict("digits-in-small", [picture])[0]
        assert "as it was trained" in hall.command("describe", "model", "digits-in-small@1").out
        assert hall.runs("train", "model/default/digits-in-small") == []
    finally:
        for kind in ("service", "model"):
            hall.command("delete", kind, "digits-in-small")
