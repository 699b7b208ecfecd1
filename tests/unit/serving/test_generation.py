"""The OpenAI API of one replica: what is asked means what the protocol says it means."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tellers import Replica, made, replica_of, until

from modelhall.core.errors import NotNow
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.generation.http import TIMEOUT
from modelhall.serving.generation.stream import Stream
from modelhall.serving.generation.worker import WAITING, Wanted, Worker

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "llama")


@pytest.fixture
async def bard(folder: Path) -> AsyncIterator[Replica]:
    async with replica_of(folder) as replica:
        yield replica


class Slow:
    """An engine that tells one more token of each text whenever it is let."""

    alternatives, schemas, penalties, vectors, scores = 0, False, True, False, False
    counts_told, spent_s, memory_used = True, 0.0, None

    def __init__(self) -> None:
        self.there: dict[int, Sampling] = {}
        self.lets = threading.Semaphore(0)

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        self.there[key] = sampling

    def step(self) -> list[Token]:
        self.lets.acquire(timeout=0.01)
        return [Token(key, 70) for key in self.there]

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        raise NotImplementedError

    def cancel(self, key: int) -> None:
        self.there.pop(key, None)

    def close(self) -> None:
        self.there.clear()


async def test_a_stream_and_an_answer_in_one_piece_say_the_same(bard: Replica) -> None:
    whole = await bard.text(max_tokens=20, temperature=1.0, seed=5, logprobs=2)
    events = await bard.events(TEXT, prompt="the quick", max_tokens=20, temperature=1.0, seed=5, logprobs=2)
    choices = [event["choices"][0] for event in events]
    assert "".join(one["text"] for one in choices) == whole["choices"][0]["text"]
    told = [token for one in choices if one["logprobs"] for token in one["logprobs"]["tokens"]]
    assert told == whole["choices"][0]["logprobs"]["tokens"]
    assert [one["finish_reason"] for one in choices][-1] == whole["choices"][0]["finish_reason"] == "length"
    assert all(one["finish_reason"] is None for one in choices[:-1])


async def test_a_prompt_is_told_with_its_own_probabilities_and_one_token_more(bard: Replica) -> None:
    prompts = [[5, 9, 40], [7, 7, 30, 31, 32, 60, 3]]
    choices = (await bard.text(prompts, max_tokens=1, logprobs=2, echo=True))["choices"]
    for prompt, choice in zip(prompts, choices, strict=True):
        told = choice["logprobs"]
        assert choice["text"].startswith(bard.teller.tokenizer.decode(prompt))
        assert {len(part) for part in told.values()} == {len(prompt) + 1}
        # Nothing stands before the first.
        assert (told["token_logprobs"][0], told["top_logprobs"][0]) == (None, None)
        assert all(logprob < 0 for logprob in told["token_logprobs"][1:])
        # Two tokens that are parts of characters look alike.
        assert all(1 <= len(top) <= 2 for top in told["top_logprobs"][1:])
    again = (await bard.text(prompts[1], max_tokens=1, logprobs=2, echo=True))["choices"][0]
    assert again["logprobs"] == choices[1]["logprobs"]


async def test_an_engine_that_scores_no_prompt_says_so(folder: Path) -> None:
    async with replica_of(folder, engine=Slow()) as replica:
        answer = await replica.ask(TEXT, prompt="the", echo=True, logprobs=0)
        assert answer.status_code == 400
        assert "`engine: torch`" in answer.json()["error"]["message"]


async def test_a_chat_streams_who_speaks_and_then_what(bard: Replica) -> None:
    events = await bard.events(
        CHAT, messages=HI, max_tokens=6, temperature=0, stream_options={"include_usage": True}
    )
    first, *_, last = events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 6
    assert all(event["usage"] is None for event in events[:-1])
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in events[:-1])
    assert said == (await bard.chat("hi", max_tokens=6, temperature=0))["choices"][0]["message"]["content"]


async def test_usage_counts_what_was_read_and_told(bard: Replica) -> None:
    usage = (await bard.text([5, 9, 40], max_tokens=7))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 7, 10)


class Remembers(Slow):
    """Tells two tokens of each text, and at the end that it had read most of the prompt before."""

    def step(self) -> list[Token]:
        there, self.there = self.there, {}
        return [told for key in there for told in (Token(key, 5), Token(key, 6, "length", cached=30))]


async def test_what_the_engine_had_read_before_is_told_in_the_usage_and_behind_the_last_event(
    folder: Path,
) -> None:
    async with replica_of(folder, engine=Remembers()) as replica:
        whole = await replica.text([1, 2, 3] * 12, n=2, max_tokens=2)
        assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 30}
        short = await replica.text([1, 2], max_tokens=2)
        assert short["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
        streamed = await replica.ask("/v1/completions", prompt=[1] * 40, max_tokens=2, stream=True)
    accounts = [line.split() for line in streamed.text.split("\n") if line.startswith(": ")]
    assert (accounts[-1][1:3], accounts[-1][4:]) == (["40", "2"], ["30"])


async def test_several_texts_of_several_prompts_come_in_order(bard: Replica) -> None:
    told = await bard.text(["the quick", "brown"], n=2, temperature=1.0, seed=1)
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2, 3]
    alone = await bard.text("brown", temperature=0)
    both = await bard.text(["the quick", "brown"], temperature=0)
    assert both["choices"][1]["text"] == alone["choices"][0]["text"]


async def test_a_seed_repeats_and_none_does_not(bard: Replica) -> None:
    asked = {"max_tokens": 16, "temperature": 1.5}
    texts = [(await bard.text(**asked, seed=11))["choices"][0]["text"] for _ in range(2)]
    drawn = {(await bard.text(**asked))["choices"][0]["text"] for _ in range(4)}
    assert texts[0] == texts[1]
    assert len(drawn) > 1


async def test_a_text_stops_before_the_stop_sequence(bard: Replica) -> None:
    whole = (await bard.text(max_tokens=24))["choices"][0]["text"]
    stop = whole[6:9]
    asked = {"max_tokens": 24, "temperature": 0, "stop": [stop]}
    (cut,) = (await bard.text(**asked))["choices"]
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"
    events = await bard.events(TEXT, prompt="the quick", **asked)
    assert "".join(event["choices"][0]["text"] for event in events) == cut["text"]
    await until(lambda: bard.worker.running == 0)


async def test_a_penalty_keeps_what_was_told_from_coming_again(bard: Replica) -> None:
    plain = (await bard.text([7], max_tokens=30, logprobs=0))["choices"][0]["logprobs"]["tokens"]
    asked = {"max_tokens": 30, "logprobs": 0, "frequency_penalty": 2.0, "presence_penalty": 2.0}
    penalised = (await bard.text([7], **asked))["choices"][0]["logprobs"]["tokens"]
    assert len(set(penalised)) > len(set(plain))


async def test_the_likeliest_tokens_are_told_with_their_probabilities(bard: Replica) -> None:
    told = await bard.chat("hi", temperature=0, max_tokens=3, logprobs=True, top_logprobs=4)
    for token in told["choices"][0]["logprobs"]["content"]:
        top = token["top_logprobs"]
        assert len(top) == 4
        assert top[0]["token"] == token["token"]
        assert [one["logprob"] for one in top] == sorted((one["logprob"] for one in top), reverse=True)


async def test_echo_begins_with_the_prompt(bard: Replica) -> None:
    assert (await bard.text(echo=True))["choices"][0]["text"].startswith("the quick")


async def test_texts_become_vectors_of_length_one_whatever_stands_beside_them(bard: Replica) -> None:
    answer = await bard.ask("/v1/embeddings", input=["the quick brown fox", "thou", "the quick brown fox"])
    told = answer.json()
    first, other, same = (one["embedding"] for one in told["data"])
    assert sum(part * part for part in first) == pytest.approx(1.0, abs=1e-5)
    assert first == pytest.approx(same)
    assert first != pytest.approx(other)
    alone = (await bard.ask("/v1/embeddings", input="thou", encoding_format="base64")).json()["data"][0][
        "embedding"
    ]
    assert struct.unpack(f"<{len(other)}f", base64.b64decode(alone)) == pytest.approx(other, abs=1e-5)
    assert told["usage"]["prompt_tokens"] == told["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("input", []), ("input", [[]]), ("input", "x" * 10**5), ("dimensions", 7), ("input", ["a"] * 200)],
)
async def test_vectors_that_cannot_be_are_refused_by_their_field(
    bard: Replica, field: str, value: Any
) -> None:
    error = await bard.refusal("/v1/embeddings", **{"input": "a", field: value})
    assert error["param"] == field


async def test_the_open_inference_protocol_tells_the_same(bard: Replica) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["the quick"]}
    answer = await bard.http.post("/v2/models/bard/infer", json={"inputs": [tensor]})
    (text,) = answer.json()["outputs"][0]["data"]
    told = await bard.text(max_tokens=32)
    assert text == told["choices"][0]["text"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", -1), ("max_tokens", 0), ("max_tokens", 10**12), ("max_tokens", "7"), ("temperature", -0.1),
        ("temperature", 2.1), ("top_p", 0), ("top_p", 1.1), ("n", 0), ("n", 10**9), ("stop", ["a"] * 5),
        ("stop", [""]), ("frequency_penalty", 3), ("presence_penalty", -3), ("logprobs", 6), ("seed", "x"),
        ("prompt", [-1]), ("prompt", [10**6]), ("prompt", [[]]), ("prompt", {}), ("prompt", "fox " * 200),
        ("prompt", "x" * 100_000), ("best_of", 3), ("stream", "yes"), ("temprature", 1),
        ("stream_options", {"chunks": 1}), ("suffix", "end"), ("logit_bias", {"1": 5}),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_by_its_field(bard: Replica, field: str, value: Any) -> None:
    error = await bard.refusal(**{field: value})
    assert error["param"].startswith(field)
    assert error["status"] == 400
    assert bard.worker.running == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.content"),
        ({"messages": [{"role": "user", "content": "fox " * 200}]}, "messages"),
        ({"messages": HI, "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"messages": HI, "tool_choice": "required"}, "tool_choice"),
        ({"messages": HI, "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": HI, "top_logprobs": 21}, "top_logprobs"),
        ({}, "messages"),
    ],
)  # fmt: skip
async def test_a_chat_that_cannot_be_is_refused_by_its_field(bard: Replica, body: Any, field: str) -> None:
    assert (await bard.refusal(CHAT, **body))["param"] == field


@pytest.mark.parametrize("body", [b"\xff{}", b"[]", b"", b'{"model": "a", "model": "b"}', b'{"seed": NaN}'])
async def test_what_is_no_json_object_is_refused_in_shape(bard: Replica, body: bytes) -> None:
    answer = await bard.http.post(CHAT, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_whoever_goes_away_is_let_go_of(folder: Path) -> None:
    engine = Slow()
    async with replica_of(folder, engine=engine) as bard:
        body = {"prompt": "the", "max_tokens": 40}
        streaming = [bard.ask(TEXT, **body, stream=True), bard.ask(TEXT, **body)]
        tasks = [asyncio.ensure_future(one) for one in streaming]
        await until(lambda: len(engine.there) == 2)
        for task in tasks:
            task.cancel()
        await until(lambda: not engine.there and bard.worker.running == 0)


async def test_a_deadline_ends_what_is_not_told_in_time(folder: Path) -> None:
    engine = Slow()
    async with replica_of(folder, engine=engine) as bard:
        body = json.dumps({"model": "bard", "prompt": "the", "max_tokens": 40})
        answer = await bard.http.post(TEXT, content=body, headers={TIMEOUT: "0.05"})
        assert answer.status_code == 408
        assert "0.05 s" in answer.json()["error"]["message"]
        await until(lambda: not engine.there)
        for nonsense in ("-1", "soon", "1e99", "nan"):
            refused = await bard.http.post(TEXT, content=body, headers={TIMEOUT: nonsense})
            assert refused.status_code == 400


async def test_more_than_may_wait_are_told_when_to_come_back() -> None:
    worker = Worker(Slow(), slots=2)
    wanted = Wanted([1], Sampling(most=1000))
    try:
        streams = [Stream(worker, [wanted]) for _ in range(2 * (1 + WAITING))]
        with pytest.raises(NotNow) as caught:
            Stream(worker, [wanted])
        assert caught.value.delay_s > 0
        streams[0].close()
        await until(lambda: worker.running + worker.waiting < 2 * (1 + WAITING))
        Stream(worker, [wanted])
    finally:
        worker.close()


async def test_a_broken_engine_fails_its_requests_and_no_others(folder: Path) -> None:
    class Breaks(Slow):
        def step(self) -> list[Token]:
            if any(sampling.seed == 13 for sampling in self.there.values()):
                raise RuntimeError("out of luck")
            return [Token(key, 70, "length") for key in list(self.there) if not self.cancel(key)]

    async with replica_of(folder, engine=Breaks()) as bard:
        broken = await bard.ask(TEXT, prompt="the", max_tokens=1, seed=13)
        assert broken.status_code == 500
        assert broken.json()["error"]["type"] == "server_error"
        assert (await bard.text("the", max_tokens=1))["choices"][0]["finish_reason"] == "length"


async def test_a_long_answer_gives_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Slow):
        def step(self) -> list[Token]:
            self.lets.acquire()
            return [Token(key, 70, "length") for key in list(self.there) if not self.cancel(key)]

    monkeypatch.setattr("modelhall.serving.generation.http.ALIVE_S", 0.01)
    engine = Late()
    async with replica_of(folder, engine=engine) as bard:
        for stream in (False, True):
            asked = asyncio.ensure_future(bard.ask(TEXT, prompt="the", max_tokens=1, stream=stream))
            await asyncio.sleep(0.1)
            engine.lets.release()
            text = (await asked).text
            assert text.startswith(": still here\n\n" if stream else " ")
            assert stream or json.loads(text)["choices"][0]["finish_reason"] == "length"


async def test_a_model_is_spoken_to_by_its_own_template(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in folder.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if tools %}{{ tools | tojson }}"
    )
    (own / "chat_template.jinja").write_text(
        template + "{% endif %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    async with replica_of(own) as bard:
        chat = await bard.chat("hi", temperature=0)
        text = await bard.text("[user]hi[assistant]")
        assert chat["choices"][0]["message"]["content"] == text["choices"][0]["text"]
        tool = {"f": 1}
        tooled = await bard.chat("hi", temperature=0, tools=[tool], max_tokens=2)
        assert tooled["usage"]["prompt_tokens"] > chat["usage"]["prompt_tokens"]


async def test_a_template_gets_no_further_than_its_sandbox(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in folder.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    (own / "chat_template.jinja").write_text("{{ messages.__class__.__base__.__subclasses__() }}")
    async with replica_of(own) as bard:
        error = await bard.refusal(CHAT, messages=HI)
        assert "template" in error["message"]
