"""A worker's life: prepare, come to hand, be of a group until it falls apart, come to hand again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from modelhall.stages.train.checkpoint import Checkpoints
from modelhall.stages.train.gang.group import JOINS_WITHIN, Group, Parted, Place
from modelhall.stages.train.gang.meeting import Meeting
from modelhall.stages.train.gang.post import Message, NoReports, Post, PostedReports
from modelhall.stages.train.gang.signs import Waiting
from modelhall.stages.train.loop import Training
from modelhall.stages.train.writing import Writing


class Trainee(Protocol):
    """What a worker is made of: all that a training needs, and what is done with it in the end."""

    training: Training
    checkpoints: Checkpoints
    checkpoint_s: float

    def go_on(self) -> None:
        """Be where the newest checkpoint is, if there is any."""
        ...

    def save(self) -> Mapping[str, Any]:
        """Leave the weights that are to be kept as an artifact; what the stage answers."""
        ...


class Member:
    """One worker."""

    def __init__(self, trainee: Trainee, post: Post, *, address: str, waits: Waiting) -> None:
        """`address` is where groups reach it; `waits` is told when it waits for the others."""
        self._trainee = trainee
        self._training = trainee.training
        self._post = post
        self._address = address
        self._waits = waits
        self._has_state = False
        self._writing: Writing | None = None

    def live(self) -> None:
        """Do what the leader says, for ever: it ends its workers when it has the artifact."""
        while True:
            said = self._post.come_to_hand(self._training.steps if self._has_state else None)
            if "keep" in said:
                self._checkpoints.keep(self._training.checkpoint)
                self._post.told(kept=self._training.steps)
                continue
            # A group that has fallen apart says nothing of those who are left.
            with contextlib.suppress(Parted), self._join(Place(**said["join"])) as group:
                self._share_state(said, group)
                self._train(group)

    def _join(self, place: Place) -> Group:
        return Group(
            place,
            address=self._address,
            meeting=Meeting(self._post, place.number, within=JOINS_WITHIN),
            heed=self._post.heed,
            waits=self._waits,
            is_called=lambda: self._post.has_news,
        )

    def _share_state(self, said: Message, group: Group) -> None:
        """Have all of the group be where the one is who is furthest; at the start, where the last checkpoint is."""
        source, behind = said["source"], said["behind"]
        if group.rank == source:
            if not self._has_state:
                self._trainee.go_on()
            for rank in behind:
                group.send(self._training.checkpoint({}), rank)
        elif group.rank in behind:
            self._training.go_on_from(group.receive(source))
        self._has_state = True

    def _train(self, group: Group) -> None:
        """Train to the end. The first worker tells how it goes, writes the checkpoints and saves the artifact."""
        if group.rank > 0:
            self._training.run(NoReports(), None, group)
            return
        reports = PostedReports(self._post)
        self._training.tell_again(reports)
        self._training.run(reports, self._checkpoints, group)
        self._post.told(output=dict(self._trainee.save()))

    @property
    def _checkpoints(self) -> Writing:
        if self._writing is None:
            self._trainee.checkpoints.clear_torn()
            self._writing = Writing(self._trainee.checkpoints, every_s=self._trainee.checkpoint_s)
        return self._writing
