"""lm-evaluation-harness drives a model that tells texts, by the OpenAI API: what it finds likelier is so."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tellers import made, replica_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        importlib.util.find_spec("lm_eval") is None,
        reason="lm_eval is not installed: `pip install 'lm_eval[api]'` into the environment of the tests",
    ),
]
ROWS = [
    ("the quick", [" brown fox", " lazy dog"]),
    ("thou", [" shalt not", " jumps over"]),
    ("over", [" a", " the"]),
]
TASK = """\
task: likelier
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{likelier}}}}"
target_delimiter: ""
metric_list: [{{metric: acc}}]
metadata: {{version: 1}}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_choice_it_finds_likelier_is_the_one_that_is(tmp_path: Path) -> None:
    folder = made(tmp_path / "llama")
    async with replica_of(folder) as replica:

        def likely(text: str, more: str) -> float:
            read = replica.teller.tokenizer.encode(text).ids
            whole = replica.teller.tokenizer.encode(text + more).ids
            told = replica.teller.engine.score(whole, 0)
            return sum(token.logprob for token in told[len(read) :])

        rows = [
            {
                "text": text,
                "choices": choices,
                "likelier": max(range(2), key=lambda place: likely(text, choices[place])),
            }
            for text, choices in ROWS
        ]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "likelier.yaml").write_text(TASK.format(rows=tmp_path / "rows.jsonl"))
        found = await _evaluated(replica.app, folder, tmp_path)
    assert found["acc,none"] == 1.0


async def _evaluated(app: Any, folder: Path, place: Path) -> dict[str, float]:
    """What the harness says, asked as a program of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    asked = f"model=bard,base_url=http://127.0.0.1:{port}/v1/completions,tokenizer={folder},num_concurrent=1,max_length=64"
    command = [
        sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args", asked, "--tasks", "likelier",
        "--include_path", str(place), "--output_path", str(place / "found"),
    ]  # fmt: skip
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(place / "hf"),
        "OPENAI_API_KEY": "x",
    }
    done = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **offline}, capture_output=True, text=True, timeout=240
    )
    server.should_exit = True
    await serving
    assert done.returncode == 0, done.stderr[-3000:]
    (told,) = (place / "found").rglob("results*.json")
    return dict(json.loads(told.read_text())["results"]["likelier"])
