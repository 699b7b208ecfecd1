"""A story that one replica begins and another goes on with reads as if one had told it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.gateway.resume import Differs, Story

ASKED = {"model": "m", "prompt": "Once", "stream": True, "temperature": 0}
BODY = json.dumps(ASKED).encode()
WORDS = ["Once", " upon", " a", " time", "\n\n", " data: [DONE]", " 从前"]


def _event(text: str, name: str = "c-1", *, chat: bool = False, end: str | None = None, **more) -> bytes:
    said = {"delta": {"content": text}} if chat else {"text": text}
    event = {
        "id": name,
        "created": len(name),
        "choices": [{"index": 0, **said, "finish_reason": end}],
        **more,
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _stream(words: list[str], name: str, *, chat: bool = False) -> bytes:
    events = [_event(word, name, chat=chat) for word in words]
    return b"".join([*events, _event("", name, chat=chat, end="stop"), b"data: [DONE]\n\n"])


def _told(events: bytes) -> list[dict]:
    lines = [line for line in events.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def _text(events: bytes) -> str:
    choices = [event["choices"][0] for event in _told(events)]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)


@settings(deadline=None)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    breaks=st.lists(st.floats(0, 1), max_size=3),
    resumes=st.booleans(),
    chat=st.booleans(),
    piece=st.integers(1, 200),
)
def test_wherever_replicas_break_off_the_caller_has_the_whole_text_once(words, breaks, resumes, chat, piece):
    story, sent, told = Story(BODY), b"", words
    for number, share in enumerate([*breaks, 1.0]):
        stream = _stream(told, f"c-{number}", chat=chat)
        stream = stream[: int(len(stream) * share)]
        for start in range(0, len(stream), piece):
            sent += story.pass_on(stream[start : start + piece])
        if story.over:
            break
        rest = json.loads(story.go_on(resumes=resumes))
        story.goes_on(anew=not resumes)
        # What a replica that can begin in the middle tells, in tokens of its own.
        told = list("".join(words).removeprefix(rest["resume"]["text"])) if resumes else words
    assert _text(sent) == "".join(words)
    assert sent.endswith(b"data: [DONE]\n\n")
    assert sent.count(b"data: [DONE]\n\n") == 1
    assert len({event["id"] for event in _told(sent)}) == 1


def test_the_caller_gets_whole_events_only():
    story = Story(BODY)
    assert story.pass_on(_event("Once")[:-10]) == b""
    assert story.pass_on(_event("Once")[-10:] + b"data: {") == _event("Once")


def test_what_stands_beside_an_event_stays_there():
    story = Story(BODY)
    story.pass_on(_event("Once"))
    assert story.go_on(resumes=True)
    story.goes_on(anew=False)
    more = _event(" upon", "c-2")[:-1] + b"id: 3 2 0.1\n\n"
    assert story.pass_on(b": still there\n\n" + more).endswith(b"\nid: 3 2 0.1\n\n")


def test_another_answer_is_not_passed_off_as_the_same():
    story = Story(BODY)
    story.pass_on(_event("Once upon"))
    assert story.go_on(resumes=False) == BODY
    story.goes_on(anew=True)
    with pytest.raises(Differs):
        story.pass_on(_event("Twice upon", "c-2"))


def test_an_answer_that_ends_sooner_the_second_time_is_another():
    story = Story(BODY)
    story.pass_on(_event("Once upon"))
    assert story.go_on(resumes=False)
    story.goes_on(anew=True)
    with pytest.raises(Differs):
        story.pass_on(_event("Once", "c-2", end="stop"))


def _named(text: str, *tokens: int) -> bytes:
    """An event that names its tokens."""
    return _event(text)[:-2] + b"\n:+" + b",".join(b"%d" % token for token in tokens) + b"\n\n"


def test_the_tokens_of_what_was_told_are_handed_on():
    story = Story(BODY)
    story.pass_on(_named("Once", 7, 8) + b": 3 2 0.1\n\n" + _named(" upon", 9))
    assert json.loads(story.go_on(resumes=True))["resume"] == {"text": "Once upon", "tokens": [7, 8, 9]}
    story.goes_on(anew=False)
    story.pass_on(_named(" a", 10))
    assert json.loads(story.go_on(resumes=True))["resume"] == {"text": "Once upon a", "tokens": [7, 8, 9, 10]}


def test_tokens_are_those_of_the_replica_that_told_the_text_anew():
    story = Story(BODY)
    story.pass_on(_named("Once", 7, 8))
    assert story.go_on(resumes=True)
    story.goes_on(anew=True)
    assert story.pass_on(_named("Onc", 5)) == b""
    assert _text(story.pass_on(_named("e upon", 6))) == " upon"
    assert json.loads(story.go_on(resumes=True))["resume"] == {"text": "Once upon", "tokens": [5, 6]}


def test_who_speaks_is_said_once():
    story = Story(BODY)
    role = {
        "id": "c-1",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
    }
    said = b"data: " + json.dumps(role).encode() + b"\n\n"
    story.pass_on(said + _event("Once", chat=True))
    assert story.go_on(resumes=False)
    story.goes_on(anew=True)
    assert story.pass_on(said + _event("Once", chat=True)) == b""


@pytest.mark.parametrize("more", [{"n": 2}, {"logprobs": 3}, {"echo": True}, {"tools": [{}]}], ids=str)
def test_more_than_one_plain_text_is_not_gone_on_with(more):
    story = Story(json.dumps({**ASKED, **more}).encode())
    story.pass_on(_event("Once"))
    assert story.go_on(resumes=True) is None


def test_an_answer_too_long_to_be_remembered_is_passed_on_all_the_same(monkeypatch):
    monkeypatch.setattr("modelhall.gateway.resume.MOST_TOLD_BYTES", 100)
    story = Story(BODY)
    assert all(story.pass_on(_event("Once")) == _event("Once") for _ in range(20))
    assert story.go_on(resumes=True) is None
    story.pass_on(b"data: [DONE]\n\n")
    assert story.over
