"""One text told by a vLLM server: the request, and its stream of events read in a thread.

The protocol is that of OpenAI's completions with what vLLM adds: answers as token ids (`return_token_ids`, since
0.10.2), ends that are tokens, and, in the usage, how much of the prompt it had read before.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from modelhall.core.errors import Broken
from modelhall.serving.engines import End, Sampling, Token

MODEL = "hall"
"""What it calls the one model it has."""
_SILENCE_S = 300.0
"""A server that says nothing for so long hangs."""
_LONGEST_LINE = 1 << 20
_ID = "token_id:"
_ENDS: dict[str, End] = {"stop": "stop", "length": "length"}


class Come(NamedTuple):
    """What came of one text: tokens, or why there are no more."""

    key: int
    told: list[Token]
    failed: Exception | None = None


class Stream:
    """A text on its way; `put` is called in its thread."""

    def __init__(
        self,
        key: int,
        connection: http.client.HTTPConnection,
        password: str,
        prompt: Sequence[int],
        sampling: Sampling,
        put: Callable[[Come], None],
    ) -> None:
        self._key = key
        self._connection = connection
        self._sampling = sampling
        self._put = put
        body = json.dumps(asked(prompt, sampling)).encode()
        headers = {"authorization": f"Bearer {password}", "content-type": "application/json"}
        threading.Thread(target=self._read, args=(body, headers), daemon=True).start()

    def close(self) -> None:
        """Break off: vLLM lets go of a text whose caller has gone."""
        with contextlib.suppress(OSError, AttributeError):  # not connected yet, or not any more
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _read(self, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            self._connection.timeout = _SILENCE_S
            self._connection.request("POST", "/v1/completions", body, dict(headers))
            answer = self._connection.getresponse()
            if 400 <= answer.status < 500:
                refusal = _refusal(answer.read(_LONGEST_LINE))
                self._put(Come(self._key, [Token(self._key, 0, "refused", refusal=refusal)]))
                return
            if answer.status != http.HTTPStatus.OK:
                raise Broken(f"status {answer.status}: {_refusal(answer.read(_LONGEST_LINE))}")
            for told in self._told(answer):
                self._put(Come(self._key, told))
        except Exception as error:  # noqa: BLE001 - whatever it was, the text is not told on, and somebody waits for it
            self._put(Come(self._key, [], error))
        finally:
            self._connection.close()

    def _told(self, answer: http.client.HTTPResponse) -> Iterator[list[Token]]:
        """The tokens of each event. The last of the text waits for the usage, which comes behind it."""
        last: Token | None = None
        for event in _events(answer):
            for choice in event["choices"]:
                told = tokens(self._key, choice, self._sampling.logprobs)
                if told and told[-1].end is not None:
                    last = told.pop()
                if told:
                    yield told
            if last is not None and event.get("usage"):
                details = event["usage"].get("prompt_tokens_details") or {}
                last = last._replace(cached=details.get("cached_tokens"))
        if last is None:
            raise Broken("it broke off before the text was over")
        yield [last]


def asked(prompt: Sequence[int], sampling: Sampling) -> dict[str, Any]:
    """The body of the request for a text."""
    body: dict[str, Any] = {
        "model": MODEL,
        "prompt": [*prompt, *sampling.told],
        "max_tokens": sampling.most - len(sampling.told),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        # The tokens that end a text are those that are asked for, whatever the model's files say.
        "ignore_eos": True,
        "stop_token_ids": sorted(sampling.ends),
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.logprobs is not None:
        body |= {"logprobs": sampling.logprobs, "return_tokens_as_token_ids": True}
    if sampling.schema is not None:
        schema = {"name": "asked", "schema": json.loads(sampling.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def tokens(key: int, choice: Mapping[str, Any], alternatives: int | None) -> list[Token]:
    """The tokens of one event of a text, the last with its end if it has one. Raises Broken for an event that is none
    of the protocol's."""
    ids, reason = choice.get("token_ids"), choice.get("finish_reason")
    if ids is None:
        raise Broken("it tells no token ids; vLLM 0.10.2 and later do")
    if reason is not None and (reason not in _ENDS or not ids):
        raise Broken(f"it ended the text with {reason!r} and {len(ids)} tokens")
    told = [Token(key, id) for id in ids]
    if alternatives is not None:
        found = choice["logprobs"]
        told = [
            token._replace(logprob=logprob, top=_likeliest(top, alternatives))
            for token, logprob, top in zip(told, found["token_logprobs"], found["top_logprobs"], strict=True)
        ]
    if reason is not None:
        told[-1] = told[-1]._replace(end=_ENDS[reason])
    return told


def _likeliest(top: Mapping[str, float] | None, alternatives: int) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens; the one that was told is among vLLM's also where it is none of them."""
    found = sorted((top or {}).items(), key=lambda one: -one[1])[:alternatives]
    return tuple((int(name.removeprefix(_ID)), logprob) for name, logprob in found)


def _events(answer: http.client.HTTPResponse) -> Iterator[Mapping[str, Any]]:
    """The events up to the protocol's last word. Raises Broken for one that tells an error."""
    while line := answer.readline(_LONGEST_LINE):
        if not line.startswith(b"data:"):
            continue
        data = line[len(b"data:") :].strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise Broken(_refusal(data))
        yield event


def _refusal(body: bytes) -> str:
    """What is wrong, in vLLM's words."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(body)["error"]["message"])[:500]
    return body[:500].decode(errors="replace")
