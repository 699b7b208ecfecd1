"""What a task asks of a network: tasks and networks are neighbours and meet in these words alone."""

from __future__ import annotations

from modelhall.core.kinds.base import Frozen


class Shape(Frozen):
    """The sizes of what goes in and what comes out, known once a task has been fitted."""

    head: str
    """What the network is to end in, in transformers' words: `image-classification`,
    `sequence-classification`… A network says no to a head it does not have."""
    sizes: dict[str, int]
    """Sizes of the input by name: `channels`, `height`, `width` of images; `vocabulary`, `length` (the longest
    row) and `pad` (the padding's number) of tokens."""
    labels: tuple[str, ...] = ()
    """What the outputs stand for, in order, where the head tells classes apart."""
