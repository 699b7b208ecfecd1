"""A GPT that the hall has trained answers whoever speaks the OpenAI API: its official client and `hall chat`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from real_hall import RealHall, until

openai = pytest.importorskip("openai", reason="the official client is not installed")
pytestmark = pytest.mark.e2e

LITELLM = Path(__file__).parents[2] / ".peers/litellm/bin/python"
VERSE = "the sun will rise and the moon will set and the stars will shine all night. "
STORY = """\
kind: dataset
name: verses
source: {source}
prepare:
  - split: {{train: 0.8, validation: 0.1, test: 0.1, seed: 7}}
---
kind: model
name: bard
task: text-generation
data: verses
network: {{family: gpt2, hidden: 32, layers: 2, heads: 2, positions: 96}}
train: {{epochs: 20, batch: 8, learning_rate: 1e-2}}
---
kind: service
name: bard
model: bard
"""
QUICK = "kind: service\nname: quick\nmodel: bard\nreplicas: 2\nengine: openvino-genai\n"
HI = [{"role": "user", "content": "the sun"}]


@pytest.fixture(scope="module")
def bard(hall: RealHall, tmp_path_factory: pytest.TempPathFactory) -> RealHall:
    rows = tmp_path_factory.mktemp("verses") / "verses.jsonl"
    texts = [f"Verse {number}: " + VERSE * 4 for number in range(100)]
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = hall.apply(STORY.format(source=rows), "--wait", file="bard.yaml")
    assert done.code == 0, done.err
    return hall


@pytest.fixture
def client(bard: RealHall) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{bard.addresses['gateway']}/v1", api_key=bard.token, max_retries=0)


def test_the_official_client_is_answered_whole_and_streaming(client: openai.OpenAI) -> None:
    asked = {"model": "bard", "messages": HI, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert 0 < whole.usage.completion_tokens <= 12
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_it_says_what_it_has_learnt(client: openai.OpenAI) -> None:
    told = client.completions.create(
        model="bard", prompt=VERSE + "the sun will", max_tokens=24, temperature=0
    )
    assert told.choices[0].text.startswith(" rise and the")


def test_the_client_knows_errors_and_models(client: openai.OpenAI, bard: RealHall) -> None:
    assert {"bard", "digits"} <= {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError, match="no service"):
        client.chat.completions.create(model="nobody", messages=HI)
    with pytest.raises(openai.BadRequestError, match="tells no texts"):
        client.chat.completions.create(model="digits", messages=HI)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        client.completions.create(model="bard", prompt="the sun " * 1000)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="mh_nobody").models.list()


@pytest.mark.skipif(not LITELLM.exists(), reason="there is no .peers/litellm")
def test_litellm_is_answered_as_the_official_client_is(client: openai.OpenAI, bard: RealHall) -> None:
    asked = {"model": "bard", "temperature": 0, "max_tokens": 12}
    said = subprocess.run(
        [str(LITELLM), str(Path(__file__).parent / "litellm_asks.py"), bard.addresses["gateway"], bard.token, "bard"],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    told = json.loads(said.stdout.splitlines()[-1])
    chat = client.chat.completions.create(messages=HI, **asked)
    assert told["whole"] == told["streamed"] == chat.choices[0].message.content
    assert told["told"] == chat.usage.completion_tokens
    assert told["text"] == client.completions.create(prompt="the sun", **asked).choices[0].text
    assert told["vector"] == 32


def test_a_request_is_metered_by_its_tokens(client: openai.OpenAI, bard: RealHall) -> None:
    answer = client.completions.with_raw_response.create(
        model="bard", prompt="the sun", max_tokens=5, stream=True
    )
    list(answer.parse())
    request = answer.headers["x-request-id"]

    def written() -> list[dict[str, Any]]:
        lines = [
            line for file in (bard.home / "usage").glob("*.jsonl") for line in file.read_text().splitlines()
        ]
        return [line for line in map(json.loads, lines) if line["request"] == request]

    (used,) = until(written, "the usage of the request")
    assert used["tokens_out"] == 5
    assert used["tokens_in"] > 0
    assert used["weight"] > 0
    assert used["first_token_s"] > 0


def test_an_engine_that_converts_has_it_done_by_one_run_and_tells_the_same(
    client: openai.OpenAI, bard: RealHall
) -> None:
    pytest.importorskip("openvino_genai", reason="the extra `openvino` is not installed")
    done = bard.apply(QUICK, "--wait", file="quick.yaml")
    assert done.code == 0, done.err
    asked = {"messages": HI, "max_tokens": 12, "temperature": 0}
    told, plain = (client.chat.completions.create(model=name, **asked) for name in ("quick", "bard"))
    assert told.choices[0].message.content == plain.choices[0].message.content
    (convert,) = (run.key.name for run in bard.runs("convert"))
    why = json.loads(bard.command("why", "quick", "-o", "json").out)
    assert (why["state"], why["runs"]) == ("ready", [])

    def steps() -> dict[str, str]:
        found = bard.command("trace", told.id.removeprefix("chatcmpl-"), "-o", "json")
        return (
            {step["what"]: step["name"] for step in json.loads(found.out)["steps"]} if not found.code else {}
        )

    until(lambda: steps().get("convert") == convert, "the trace with the conversion")


def test_the_command_line_talks_with_it(bard: RealHall) -> None:
    said = bard.command("chat", "bard", "-m", "the sun", "--max-tokens", "8", "--temperature", "0")
    assert said.code == 0, said.err
    assert said.out.strip()
    assert "tokens" in said.err
    assert (
        bard.command("chat", "bard", "--max-tokens", "8", "--temperature", "0", stdin="the sun").out
        == said.out
    )
    assert bard.command("chat", "nobody", "-m", "hi").code == 2


def test_the_command_line_predicts_and_loads(bard: RealHall) -> None:
    assert json.loads(bard.command("predict", "bard", "the sun", "-o", "json").out)[0]["text"]
    load = bard.command("load", "bard", "--rate", "10", "--duration", "1", "--max-tokens", "4", "-o", "json")
    figures = json.loads(load.out)
    assert figures["sent"] == figures["answered"] > 0
    assert figures["first_token_s"]["p50"] <= figures["latency_s"]["p99"]
    assert figures["tokens_s"] > 0


def test_a_batch_is_answered_in_the_background(client: openai.OpenAI) -> None:
    body = {"model": "bard", "prompt": "the sun", "max_tokens": 4, "temperature": 0}
    asked = [
        {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/completions", "body": body}
        for number in range(3)
    ]
    rows = "".join(json.dumps(line) + "\n" for line in asked).encode()
    file = client.files.create(file=("rows.jsonl", rows), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/completions", completion_window="24h")
    done = until(
        lambda: (found := client.batches.retrieve(batch.id)).status == "completed" and found,
        "the batch to be over",
    )
    told = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in told] == ["line-0", "line-1", "line-2"]
    assert len({line["response"]["body"]["choices"][0]["text"] for line in told}) == 1
