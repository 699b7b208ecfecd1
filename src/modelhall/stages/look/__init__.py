"""look: questions about prepared data, answered by a program of its own, so that the control plane can show rows
without loading what reads them. The keys of the project are handed to it as to any stage.

One file for each sort of question. What a question is stands in core/looking.py; whether somebody may ask it is
decided at the doors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from modelhall.core import plugins, unpacking
from modelhall.core.looking import Question
from modelhall.core.secrets import read_keys


@contextlib.contextmanager
def unpacked(question: Question, artifact: str) -> Iterator[Path]:
    """The folder of one artifact of a question. Raises NotFound and Broken."""
    blobs = plugins.load_for_url("blobs", question.blobs).open_blobs(question.blobs, read_keys())
    with unpacking.unpacked(blobs, artifact, question.cache) as folder:
        yield folder
