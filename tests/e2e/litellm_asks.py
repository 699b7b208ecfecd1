"""Asks a service by LiteLLM, whose environment it runs in: the gateway's address, a token and a service are its
arguments; prints what was told in one piece, streaming, and as a completion, and the length of a vector."""

from __future__ import annotations

import json
import sys

import litellm


def main(address: str, token: str, service: str) -> None:
    asked = {"api_base": f"{address}/v1", "api_key": token, "temperature": 0, "max_tokens": 12}
    messages = [{"role": "user", "content": "the sun"}]
    whole = litellm.completion(model=f"openai/{service}", messages=messages, **asked)
    chunks = litellm.completion(model=f"openai/{service}", messages=messages, stream=True, **asked)
    text = litellm.text_completion(model=f"text-completion-openai/{service}", prompt="the sun", **asked)
    vector = litellm.embedding(f"openai/{service}", ["the sun"], api_base=asked["api_base"], api_key=token)
    told = {
        "whole": whole.choices[0].message.content,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        "told": whole.usage.completion_tokens,
        "text": text.choices[0].text,
        "vector": len(vector.data[0]["embedding"]),
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
