"""What the client makes of lists and events: every change once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from modelhall.control.loop import new_resource
from modelhall.core.errors import Denied, Gone, NotNow
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import AnyResource
from modelhall.core.ports.store import Change
from modelhall.doors import following
from modelhall.doors.following import Listing
from modelhall.doors.wire import Told


def project(name: str, revision: int) -> AnyResource:
    document = document_from_json({"kind": "project", "name": name})
    return new_resource(document, "uid", 0.0).model_copy(update={"revision": revision})


def changed(name: str, revision: int) -> Told:
    about: dict[str, Any] = {"kind": "project", "project": "default", "name": name, "revision": revision}
    return Told(revision, "changed", {**about, "resource": project(name, revision).model_dump(mode="json")})


def removed(name: str, revision: int) -> Told:
    about: dict[str, Any] = {"kind": "project", "project": "default", "name": name, "revision": revision}
    return Told(revision, "removed", {**about, "resource": None})


def bookmark(revision: int) -> Told:
    return Told(revision, "bookmark", {"revision": revision})


class Script:
    """A hall that gives these lists, and at each connection these events or an error."""

    def __init__(self, lists: list[Listing], streams: list[list[Told | Exception]]) -> None:
        self.asked: list[int] = []
        self._lists, self._streams = iter(lists), iter(streams)

    def look(self) -> Listing:
        return next(self._lists)

    def listen(self, after: int) -> Iterator[Told]:
        self.asked.append(after)
        for told in next(self._streams):
            if isinstance(told, Exception):
                raise told
            yield told


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("modelhall.doors.following.time.sleep", waited.append)
    return waited


def first(script: Script, count: int, known: Listing | None = None) -> list[tuple[str, int, bool]]:
    """Name, revision and whether it is there, of the first changes."""

    def short(change: Change) -> tuple[str, int, bool]:
        return change.key.name, change.revision, change.resource is not None

    return [short(c) for c in islice(following.follow(script.look, script.listen, known), count)]


def test_first_comes_what_there_is_then_what_changes() -> None:
    script = Script([Listing(items=[project("a", 1)], revision=4)], [[changed("b", 5), removed("a", 6)]])
    assert first(script, 3) == [("a", 1, True), ("b", 5, True), ("a", 6, False)]
    assert script.asked == [4]


def test_what_is_known_is_not_told_again() -> None:
    known = Listing(items=[project("a", 7)], revision=4)
    script = Script([], [[changed("a", 7), changed("a", 8)]])
    assert first(script, 1, known) == [("a", 8, True)]


def test_after_the_hall_was_away_it_goes_on_where_it_was() -> None:
    known = Listing(items=[], revision=0)
    away = NotNow("no answer", delay_s=60.0)
    script = Script([], [[changed("a", 1), bookmark(9), away], [away], [], [changed("b", 10)]])
    assert first(script, 2, known) == [("a", 1, True), ("b", 10, True)]
    assert script.asked == [0, 9, 9, 9]


@pytest.mark.parametrize(
    "gone", [Gone("not known any more"), Told(None, "gone", {})], ids=["at once", "later"]
)
def test_when_too_much_was_missed_the_differences_are_told(gone: Exception | Told) -> None:
    known = Listing(items=[project("a", 1), project("b", 2), project("c", 3)], revision=3)
    now = Listing(items=[project("b", 2), project("c", 50), project("d", 40)], revision=60)
    script = Script([now], [[gone], [changed("e", 61)]])
    told = first(script, 4, known)
    assert told == [("a", 60, False), ("c", 50, True), ("d", 40, True), ("e", 61, True)]
    assert script.asked == [3, 60]


def test_the_removal_of_what_one_never_saw_is_no_news() -> None:
    script = Script([], [[removed("other", 1), changed("a", 2)]])
    assert first(script, 1, Listing(items=[], revision=0)) == [("a", 2, True)]


def test_what_only_the_caller_can_mend_is_raised() -> None:
    script = Script([], [[Denied("not you", status=401)]])
    with pytest.raises(Denied):
        first(script, 1, Listing(items=[], revision=0))
