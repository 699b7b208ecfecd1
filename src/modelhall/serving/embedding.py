"""Texts as vectors, asked for by the OpenAI API, where that is a model's own task. They go through the same batches
as requests of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelhall.core.errors import Rejected
from modelhall.serving.batcher import Batcher
from modelhall.serving.generation.asked import Embeddings, read
from modelhall.serving.generation.embedding import shown
from modelhall.serving.model import Model
from modelhall.tasks import Tensor

PATH = "/v1/embeddings"
MOST_TEXTS = 2048
"""At once, as the protocol has it."""


def routes(model: Model, batcher: Batcher, body_of: Callable[[Request], Awaitable[bytes]]) -> list[Route]:
    """None for a model that makes no vectors of texts. `body_of` awaits the checked body of a request."""
    if [out.name for out in model.outputs] != ["embedding", "tokens"]:
        return []

    async def answer(request: Request) -> Response:
        asked = read(await body_of(request), Embeddings)
        texts = _texts(asked)
        given = Tensor(name="text", datatype="BYTES", shape=(len(texts),), data=texts)
        done = await batcher.submit({"text": given}, len(texts))
        embedding, tokens = done.outputs
        size = embedding.shape[1]
        vectors = [embedding.data[start : start + size] for start in range(0, len(embedding.data), size)]
        return JSONResponse(shown(asked, vectors, read=sum(tokens.data), compute_s=done.compute_s))

    return [Route(PATH, answer, methods=["POST"])]


def _texts(asked: Embeddings) -> list[str]:
    """Raises Rejected for tokens, which could be those of any other model."""
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 0 < len(texts) <= MOST_TEXTS:
        raise Rejected(f"1 to {MOST_TEXTS} texts at once, not {len(texts)}", field="input")
    if any(not isinstance(text, str) for text in texts):
        raise Rejected(
            "this model reads texts, and no tokens; clients that make tokens of them first can be told not to, such "
            "as LangChain by check_embedding_ctx_length=False",
            field="input",
        )
    return [text for text in texts if isinstance(text, str)]
