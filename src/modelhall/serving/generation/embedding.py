"""Texts as vectors, in the words of the OpenAI API, by a model whose task is to tell texts."""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Sequence
from typing import Any

from modelhall.core.errors import Rejected
from modelhall.serving.generation.asked import MOST_TEXTS, Embeddings
from modelhall.serving.generation.planned import Teller, read_texts


def embeddings(asked: Embeddings, teller: Teller) -> dict[str, Any]:
    """The vectors of the texts asked for; raises Rejected."""
    if not teller.engine.vectors:
        raise Rejected(
            "the engine or the network of this service gives no vectors; `engine: torch` does, with a family of "
            "transformers",
            field="model",
        )
    texts = read_texts(asked.input, teller, "input")
    if len(texts) > MOST_TEXTS:
        raise Rejected(f"at most {MOST_TEXTS} texts at once, not {len(texts)}", field="input")
    begun_s = time.thread_time()
    vectors = teller.engine.embed(texts, teller.adapter)
    return shown(asked, vectors, read=sum(map(len, texts)), compute_s=time.thread_time() - begun_s)


def shown(
    asked: Embeddings, vectors: Sequence[Sequence[float]], *, read: int, compute_s: float
) -> dict[str, Any]:
    """Vectors as the protocol has them, and what they took: tokens that were read, and processor seconds. Raises
    Rejected for vectors of another length than was asked for."""
    if asked.dimensions not in (None, len(vectors[0])):
        raise Rejected(f"the vectors of this model have {len(vectors[0])} dimensions", field="dimensions")
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": place, "embedding": _written(vector, asked.encoding_format)}
            for place, vector in enumerate(vectors)
        ],
        "usage": {
            "prompt_tokens": read, "completion_tokens": 0, "total_tokens": read, "compute_s": round(compute_s, 6),
        },
    }  # fmt: skip


def _written(vector: Sequence[float], form: str) -> Any:
    """As numbers, or as the protocol packs them: float32 of the smaller byte first, in base64."""
    if form == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
