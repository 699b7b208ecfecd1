"""Going on with an answer whose replica has broken off in the middle, so that the caller does not notice.

An answer told as OpenAI's server-sent events is passed on in whole events and remembered. When it breaks off, another
replica is asked for the same with `resume` beside it, which says what was told already, and its events are made to
continue the story under the answer's first name. Which replica, and how often, is left to `relay.py`.

A replica that can begin where the other ended says so (`x-hall-resumed`). Of one that begins anew, as much is held
back as was told before. That fits where an answer comes out the same each time, greedy or by a seed; one that comes
out differently is not passed off as the same, and the answer then ends where it broke.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from modelhall.core import strict_json
from modelhall.core.errors import NotNow, Rejected

RESUMED = b"x-hall-resumed"
"""The header of a reply that begins where it was asked to."""
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
DONE = b"data: [DONE]"


class Story:
    """One answer, as far as the caller has it."""

    def __init__(self, body: bytes) -> None:
        """`body` is the request's."""
        self._body = body
        self._told: list[bytes] = []
        self._told_bytes = 0
        self._unfinished = b""
        """The beginning of an event."""
        self._name: dict[str, Any] | None = None
        """What names the answer, once another replica goes on."""
        self._told_before = ""
        """Of the text that replica tells anew, what the caller has already."""

    @property
    def over(self) -> bool:
        """Whether the last event has been told."""
        return bool(self._told) and self._told[-1].rstrip().endswith(DONE)

    def pass_on(self, chunk: bytes) -> bytes:
        """More has come: what the caller may be sent, which is whole events. Raises Differs."""
        data = self._unfinished + chunk
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._unfinished = data
            return b""
        self._unfinished = data[end:]
        events = data[:end] if self._name is None else self._continued(data[:end])
        if self._told_bytes <= MOST_TOLD_BYTES:
            self._told.append(events)
            self._told_bytes += len(events)
        return events

    def rest(self) -> bytes | None:
        """The body of a request for what is missing; None when that cannot be asked for."""
        asked = self._one_text_asked_for()
        if asked is None or self._told_bytes > MOST_TOLD_BYTES:
            return None
        events = [event for event in _events(b"".join(self._told)) if event is not None]
        texts = [_text(event) for event in events]
        asked["resume"] = {"text": "".join(texts), "tokens": sum(bool(text) for text in texts)}
        return json.dumps(asked).encode()

    def go_on(self, *, resumed: bool) -> None:
        """What comes now is another replica's: the rest, if it has `resumed`, or else all of it again."""
        events = [event for event in _events(b"".join(self._told)) if event is not None]
        self._unfinished = b""
        self._name = {key: events[0][key] for key in ("id", "created") if key in events[0]} if events else {}
        self._told_before = "" if resumed else "".join(_text(event) for event in events)

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
        for event in _events(events):
            if event is None:
                kept.append(DONE + b"\n\n")
            elif (new := self._new(event)) is not None:
                kept.append(b"data: %b\n\n" % json.dumps({**new, **(self._name or {})}).encode())
        return b"".join(kept)

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


def _events(data: bytes) -> Iterator[dict[str, Any] | None]:
    """The events in some whole ones; None for the one that says that it was the last."""
    for lines in data.split(b"\n\n"):
        if lines.startswith(DONE):
            yield None
        elif lines.startswith(b"data:"):
            yield json.loads(lines[5:])


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
