"""One service, its own model and an adapter beside it: asked by the official client, metered, traced, replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from real_hall import RealHall, until

openai = pytest.importorskip("openai", reason="the official client is not installed")
pytestmark = pytest.mark.e2e

VERSE = "the sun will rise and the moon will set and the stars will shine all night. "
CLAUSE = "the sun will pay the moon and the moon will owe the stars all rent. "
STORY = """\
kind: dataset
name: rhymes
source: {rhymes}
prepare:
  - split: {{train: 0.8, validation: 0.1, test: 0.1, seed: 7}}
---
kind: dataset
name: clauses
source: {clauses}
prepare:
  - split: {{train: 0.8, validation: 0.1, test: 0.1, seed: 7}}
---
kind: model
name: reciter
task: text-generation
data: rhymes
network: {{family: gpt2, hidden: 32, layers: 2, heads: 2, positions: 64}}
train: {{epochs: 12, batch: 8, learning_rate: 1e-2}}
---
kind: model
name: legal
task: text-generation
data: clauses
base: model://reciter
train: {{epochs: {epochs}, batch: 8, learning_rate: 2e-2, adapter: {{lora: {{rank: 8}}}}}}
---
kind: service
name: reciter
model: reciter
adapters: {{legal: legal}}
"""
ASKED = {"prompt": VERSE + "the sun will", "max_tokens": 12, "temperature": 0}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("rows")
    for name, words in (("rhymes", VERSE), ("clauses", CLAUSE)):
        rows = [{"text": f"{number}: " + words * 3} for number in range(60)]
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: place / f"{name}.jsonl" for name in ("rhymes", "clauses")}


def test_an_adapter_is_asked_by_name_beside_its_base_from_file_to_bill(
    hall: RealHall, sources: dict[str, Path]
) -> None:
    done = hall.apply(STORY.format(**sources, epochs=8), "--wait", file="reciter.yaml")
    assert done.code == 0, done.err
    client = openai.OpenAI(base_url=f"{hall.addresses['gateway']}/v1", api_key=hall.token, max_retries=0)
    assert {"reciter", "reciter:legal"} <= {model.id for model in client.models.list()}

    def told(model: str) -> tuple[str, Any]:
        answer = client.completions.with_raw_response.create(model=model, **ASKED)
        return answer.parse().choices[0].text, answer.headers

    own, _ = told("reciter")
    text, headers = told("reciter:legal")
    assert text != own
    assert headers["x-hall-version"] == "reciter:legal@1"
    with pytest.raises(openai.NotFoundError, match="no adapter 'lega'; there is: reciter:legal"):
        told("reciter:lega")

    said = hall.command("chat", "reciter:legal", "-m", "the sun", "--max-tokens", "4", "--temperature", "0")
    assert (said.code, bool(said.out.strip())) == (0, True), said.err
    predicted = json.loads(hall.command("predict", "reciter:legal", ASKED["prompt"], "-o", "json").out)
    assert predicted[0]["text"].startswith(text[:8])

    steps = json.loads(hall.command("trace", headers["x-request-id"], "-o", "json").out)["steps"]
    assert [(step["what"], step["name"]) for step in steps[2:4]] == [
        ("service", "reciter:legal"), ("model", "legal"),
    ]  # fmt: skip
    assert ("dataset", "clauses") in [(step["what"], step["name"]) for step in steps]
    lines = json.loads(hall.command("bill", "--by", "model", "-o", "json").out)["lines"]
    assert {line["name"]: line["requests"] for line in lines}["model/default/legal"] == 3
    assert ":legal" in hall.command("get", "service", "reciter").out
    assert "reciter:legal: legal@1 (" in hall.command("describe", "service", "reciter").out

    assert hall.apply(STORY.format(**sources, epochs=9), "--wait", file="reciter.yaml").code == 0
    until(lambda: told("reciter:legal")[1]["x-hall-version"] == "reciter:legal@2", "the newer adapter")
    assert told("reciter")[0] == own
