"""Texts as vectors, in the words of the OpenAI API."""

from __future__ import annotations

import base64
import struct
import time
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
    vectors = teller.engine.embed(texts)
    compute_s = time.thread_time() - begun_s
    if asked.dimensions not in (None, len(vectors[0])):
        raise Rejected(f"the vectors of this model have {len(vectors[0])} dimensions", field="dimensions")
    read = sum(map(len, texts))
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": place, "embedding": _shown(vector, asked.encoding_format)}
            for place, vector in enumerate(vectors)
        ],
        "usage": {
            "prompt_tokens": read, "completion_tokens": 0, "total_tokens": read, "compute_s": round(compute_s, 6),
        },
    }  # fmt: skip


def _shown(vector: list[float], form: str) -> Any:
    """As numbers, or as the protocol packs them: float32 of the smaller byte first, in base64."""
    if form == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
