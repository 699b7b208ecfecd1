"""An agent's calls to its hall, when nothing comes back."""

from __future__ import annotations

import asyncio
import socket

import pytest

from modelhall.core.errors import NotNow
from modelhall.core.node_line import Beat
from modelhall.core.ports.launcher import NodeReport
from modelhall.doors.agent.line import Line
from modelhall.doors.wire import Wire


def test_a_beat_whose_answer_is_lost_is_given_up_soon_so_that_the_next_is_heard() -> None:
    report = NodeReport(name="far", cpus=1.0, memory_bytes=2**30, processor="")
    beat = Beat(session="a", node=report, now=0.0, hold_s=0.05, kept=())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = Line(Wire(f"http://127.0.0.1:{silent.getsockname()[1]}", "t"), "far", answers_within_s=0.05)
        with pytest.raises(NotNow, match="no answer"):
            asyncio.run(line.beat(beat))
