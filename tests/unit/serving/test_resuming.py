"""A text that one replica begins and another goes on with is the text that one would have told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tellers import Replica, made, replica_of

from modelhall.gateway.resume import Story
from modelhall.serving.generation.resumed import RESUMES

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HI = {"messages": [{"role": "user", "content": "hi"}]}
WAYS = {
    "the likeliest": {"temperature": 0},
    "by a seed": {"temperature": 1.3, "seed": 5},
    "penalised": {"temperature": 0, "presence_penalty": 2.0},
    "up to a stop": {"temperature": 0, "stop": "zzz"},
}


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


async def streamed(bard: Replica, path: str, body: dict[str, Any]) -> tuple[bytes, bool]:
    """A stream, and whether it can be gone on with."""
    answer = await bard.http.post(path, content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    return answer.content, RESUMES in answer.headers


def told(events: bytes) -> list[dict[str, Any]]:
    lines = [line for line in events.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def text_of(events: bytes) -> str:
    choices = [event["choices"][0] for event in told(events) if event["choices"]]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)


@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize("way", WAYS)
async def test_wherever_it_breaks_off_the_text_is_the_same(bard: Replica, path: str, way: str) -> None:
    body = {"model": "bard", "stream": True, "max_tokens": 14, "stream_options": {"include_usage": True}, **WAYS[way],
            **(HI if path == CHAT else {"prompt": "the quick"})}  # fmt: skip
    whole, resumes = await streamed(bard, path, body)
    assert resumes
    began = []
    for cut in range(0, len(whole), len(whole) // 11):
        story = Story(json.dumps(body).encode())
        sent = story.pass_on(whole[:cut])
        rest = story.go_on(resumes=True)
        assert rest is not None
        more, began_there = await streamed(bard, path, json.loads(rest))
        began.append(began_there)
        story.goes_on(anew=not began_there)
        sent += story.pass_on(more)
        assert text_of(sent) == text_of(whole)
        assert told(sent)[-1]["usage"] == told(whole)[-1]["usage"]
        assert story.over
    assert began.count(True) > 5


async def test_what_was_drawn_without_a_seed_goes_on_behind_it(bard: Replica) -> None:
    body = {"model": "bard", "prompt": "the quick", "stream": True, "max_tokens": 12, "temperature": 1.5}
    whole, resumes = await streamed(bard, TEXT, body)
    assert resumes
    story = Story(json.dumps(body).encode())
    begun = text_of(story.pass_on(whole[: len(whole) // 2]))
    rest = story.go_on(resumes=True)
    assert rest is not None
    more, began_there = await streamed(bard, TEXT, json.loads(rest))
    assert began_there
    story.goes_on(anew=False)
    story.pass_on(more)
    assert story.over
    assert begun


@pytest.mark.parametrize(
    "resume",
    [
        {"text": "", "tokens": []}, {"text": "other words", "tokens": [70]}, {"text": "", "tokens": [10**6]},
        {"text": "", "tokens": [-1]}, {"text": "", "tokens": [70] * 8},
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_have_been_told_is_told_anew(bard: Replica, resume: Any) -> None:
    body = {"model": "bard", "prompt": "the quick", "stream": True, "max_tokens": 8, "temperature": 0}
    whole, _ = await streamed(bard, TEXT, body)
    again, began_there = await streamed(bard, TEXT, {**body, "resume": resume})
    assert not began_there
    assert text_of(again) == text_of(whole)


async def test_what_is_more_than_a_text_names_no_tokens(bard: Replica) -> None:
    body = {"model": "bard", "prompt": "the quick", "stream": True, "max_tokens": 4, "temperature": 0, "n": 2}
    whole, resumes = await streamed(bard, TEXT, body)
    assert not resumes
    assert b":+" not in whole
