"""A vLLM beside its replica: started, asked by its protocol, let go of, and gone with it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from counting_vllm import BREAKS, DIES, ENDLESS, REFUSED
from tellers import ids, made, tell

from modelhall import tasks
from modelhall.core.errors import Broken, Rejected
from modelhall.serving.engines import Sampling, vllm
from modelhall.serving.engines._aside import Aside

PROGRAM = "modelhall.serving.engines._vllm_server"
AGAIN_S = 0.05
COUNTS = f'exec {sys.executable} {Path(__file__).with_name("counting_vllm.py")} "$@"'


class Died(Exception):
    pass


def die(code: int) -> None:
    raise Died(code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_folder(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def counting(folder: Path) -> Iterator[Aside]:
    """One for all those that leave it as it is."""
    aside = started(folder, COUNTS)
    yield aside
    aside.close()


def new_folder(folder: Path) -> Path:
    (folder / "config.json").write_text('{"dtype": "float32"}')
    return folder


def started(folder: Path, script: str) -> Aside:
    """With a shell script in the place of vLLM's command line."""
    executable = folder / "vllm"
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    return Aside(
        PROGRAM, die=die, executable=str(executable), folder=str(folder), threads=1, slots=4, reads=64
    )  # type: ignore[arg-type]


def called(folder: Path) -> tuple[list[str], psutil.Process]:
    said = json.loads((folder / "called.json").read_text())
    return said["argv"], psutil.Process(said["pid"])


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(AGAIN_S)


def test_texts_come_as_tokens_with_their_probabilities_ends_and_what_was_read_before(counting: Aside) -> None:
    asked = Sampling(most=3, logprobs=1)
    one, other = tell(counting, ([5], asked), ([1, 2], Sampling(most=9, ends=frozenset({4}))))
    assert (ids(one), ids(other)) == ([6, 7, 8], [3, 4])
    assert [token.end for token in (*one, *other)] == [None, None, "length", None, "stop"]
    assert (one[0].logprob, one[0].top) == (-0.5, ((1, -0.25),))
    assert [token.cached for token in one] == [None, None, 16]


def test_its_key_is_in_nobodys_sight_and_it_listens_to_this_machine_alone(
    counting: Aside, folder: Path
) -> None:
    argv, server = called(folder)
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--max-model-len") + 1] == "64"
    key = server.environ()["VLLM_API_KEY"]
    assert len(key) > 30
    assert not any(key in word for word in argv)


def test_what_it_refuses_is_told_in_its_words_and_the_others_go_on(counting: Aside) -> None:
    refused, told = tell(counting, ([REFUSED], Sampling(most=3)), ([1], Sampling(most=2)))
    assert (refused[0].end, refused[0].refusal) == ("refused", "the grammar is unlucky")
    assert ids(told) == [2, 3]


def test_a_text_that_is_cancelled_is_let_go_of_by_closing_its_stream(counting: Aside, folder: Path) -> None:
    counting.add(1, [ENDLESS], Sampling(most=10**6))
    until(lambda: bool(counting.step()))
    counting.cancel(1)
    assert ids(tell(counting, ([1], Sampling(most=1)))[0]) == [2]
    until((folder / "left").exists)


def test_a_stream_that_breaks_off_fails_its_text_and_not_the_engine(counting: Aside) -> None:
    counting.add(1, [BREAKS], Sampling(most=3))
    with pytest.raises(Broken):
        until(lambda: any(token.end for token in counting.step()))
    assert ids(tell(counting, ([1], Sampling(most=1)))[0]) == [2]


def test_a_replica_ends_when_it_is_gone(tmp_path: Path) -> None:
    counting = started(new_folder(tmp_path), COUNTS)
    counting.add(1, [DIES], Sampling(most=3))
    with pytest.raises(Died):
        until(lambda: bool(counting.step()))


@pytest.mark.parametrize("killed", [False, True])
def test_it_ends_with_the_replica_however_that_ends(tmp_path: Path, killed: bool) -> None:
    counting = started(new_folder(tmp_path), COUNTS)
    _, server = called(tmp_path)
    if killed:
        os.kill(counting.pid, signal.SIGKILL)
    counting.close()
    server.wait()


def test_one_that_does_not_start_is_told_of_and_the_log_has_its_words(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="while it was loaded; the log of the replica says why"):
        started(new_folder(tmp_path), "exit 7")


def test_where_there_is_none_it_is_said_how_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(vllm.EXECUTABLE, "/nowhere/vllm")
    task = tasks.load("text-generation", made(tmp_path / "llama"))
    with pytest.raises(Rejected, match="name its command line by MODELHALL_VLLM"):
        vllm.generator(tmp_path, task, threads=1, slots=1)
