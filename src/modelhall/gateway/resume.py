"""Going on with an answer whose replica has broken off in the middle, so that the caller does not notice.

An answer told as OpenAI's server-sent events is passed on in whole events and remembered. When it breaks off,
another replica is asked, and its events are made to continue the story under the answer's first name. Which replica,
and how often, is left to `relay.py`.

An answer with the header `x-hall-resumes` can be gone on with where it ended: the same is asked for with `resume`
beside it, the text that was told already and its tokens, which comments `:+ID,ID` within the events name. If that
answer has the header, too, it begins there. Any other begins anew, and as much is held back as was told before, which
fits where an answer comes out the same each time, greedy or by a seed; one that comes out differently is not passed
off as the same, and the answer then ends where it broke.
"""

from __future__ import annotations

import json
from typing import Any

from modelhall.core import strict_json
from modelhall.core.errors import NotNow, Rejected

RESUMES = b"x-hall-resumes"
"""The header of an answer that can be gone on with, and that began in the middle if it was asked to."""
MOST_TOLD_BYTES = 4 * 1024 * 1024
"""As much of an answer is remembered; a longer one is passed on, and not gone on with."""
ONE_TEXT = {
    "n": (None, 1),
    "best_of": (None, 1),
    "logprobs": (None, False),
    "echo": (None, False),
    "tools": (None,),
}
"""What has to be asked for so that an answer is one text and nothing besides."""
DATA, DONE, END = b"data:", b"data: [DONE]", b"\n\n"
TOKENS = b":+"
"""Before the tokens of an event."""


class Story:
    """One answer, as far as the caller has it."""

    def __init__(self, body: bytes) -> None:
        """`body` is the request's."""
        self._body = body
        self._told: list[bytes] = []
        self._told_bytes = 0
        self._unfinished = b""
        """The beginning of an event."""
        self.over = False
        """Whether the last event has been told."""
        self._name: dict[str, Any] | None = None
        """What names the answer, once another replica goes on."""
        self._text, self._tokens = "", list[int]()
        """What replicas told that broke off."""
        self._told_before = ""
        """Of the text that replica tells anew, what the caller has already."""

    def pass_on(self, chunk: bytes) -> bytes:
        """More has come: what the caller may be sent, which is whole events. Raises Differs."""
        data = self._unfinished + chunk
        end = data.rfind(END) + len(END)
        if end < len(END):
            self._unfinished = data
            return b""
        self._unfinished = data[end:]
        events = data[:end] if self._name is None else self._continued(data[:end])
        self.over = events.rstrip().endswith(DONE)
        if self._told_bytes <= MOST_TOLD_BYTES:
            self._told.append(events)
            self._told_bytes += len(events)
        return events

    def go_on(self, *, resumes: bool) -> bytes | None:
        """Another replica is to go on, behind what was told if the answer so far `resumes`: the body of the request
        for that; None when it cannot be asked for."""
        asked = self._one_text_asked_for()
        if asked is None or self._told_bytes > MOST_TOLD_BYTES:
            return None
        told = _whole(b"".join(self._told))
        events = [event for lines in told if (event := _event(lines)) is not None]
        self._text = "".join(_text(event) for event in events)
        self._unfinished = b""
        if not self._name:
            self._tokens = [token for lines in told for token in _tokens(lines)]
            first = events[0] if events else {}
            self._name = {key: first[key] for key in ("id", "created") if key in first}
        if not resumes:
            return self._body
        return json.dumps({**asked, "resume": {"text": self._text, "tokens": self._tokens}}).encode()

    def goes_on(self, *, anew: bool) -> None:
        """Another replica has been found, which tells the text `anew` or what is to come of it."""
        self._told_before = self._text if anew else ""
        if anew:
            self._tokens = []

    def _one_text_asked_for(self) -> dict[str, Any] | None:
        try:
            asked = strict_json.loads(self._body)
        except Rejected:
            return None
        if not isinstance(asked, dict) or any(
            asked.get(key) not in values for key, values in ONE_TEXT.items()
        ):
            return None
        return asked

    def _continued(self, events: bytes) -> bytes:
        """Another replica's events without what the caller has already."""
        kept = []
        for lines in _whole(events):
            event = _event(lines)
            self._tokens += _tokens(lines)
            if event is None:
                kept.append(lines)
            elif (new := self._new(event)) is not None:
                data = b"data: " + json.dumps({**new, **(self._name or {})}).encode()
                kept.append(
                    b"\n".join(data if line.startswith(DATA) else line for line in lines.split(b"\n"))
                )
        return b"".join(lines + END for lines in kept)

    def _new(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """What of an event the caller does not have; None when he has all of it. Raises Differs."""
        text, before = _text(event), self._told_before
        if not text.startswith(before) and (_ends(event) or not before.startswith(text)):
            raise Differs(
                "another replica tells the answer differently, so it cannot be gone on with", delay_s=1.0
            )
        self._told_before = before[len(text) :]
        new = text[len(before) :]
        needed = new or _ends(event) or not event.get("choices") or not self._told
        return _with_text(event, new) if needed else None


class Differs(NotNow):
    """What another replica tells does not continue what was told."""


def _whole(events: bytes) -> list[bytes]:
    """The lines of each of some whole events."""
    return events.removesuffix(END).split(END) if events else []


def _event(lines: bytes) -> dict[str, Any] | None:
    """What an event says; None of one that says nothing of the text: a sign of life, or that it was the last."""
    said = next((line for line in lines.split(b"\n") if line.startswith(DATA)), None)
    return None if said is None or said.startswith(DONE) else json.loads(said.removeprefix(DATA))


def _tokens(lines: bytes) -> list[int]:
    """The tokens that an event names."""
    named = next((line for line in lines.split(b"\n") if line.startswith(TOKENS)), TOKENS)
    return [int(token) for token in named.removeprefix(TOKENS).split(b",") if token.isdigit()]


def _choice(event: dict[str, Any]) -> dict[str, Any]:
    return event["choices"][0] if event.get("choices") else {}


def _text(event: dict[str, Any]) -> str:
    choice = _choice(event)
    return choice.get("text") or choice.get("delta", {}).get("content") or ""


def _ends(event: dict[str, Any]) -> bool:
    return _choice(event).get("finish_reason") is not None


def _with_text(event: dict[str, Any], text: str) -> dict[str, Any]:
    choice = _choice(event)
    if "text" in choice:
        return {**event, "choices": [{**choice, "text": text}]}
    if "content" in choice.get("delta", {}):
        return {**event, "choices": [{**choice, "delta": {**choice["delta"], "content": text}}]}
    return event
