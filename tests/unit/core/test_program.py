"""What a stage's program reads and writes, with a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelhall.core import files
from modelhall.core.program import Reporter

PROGRAM = """
from modelhall.core import program
from modelhall.core.errors import Broken, Failed, NotFound, NotNow, Rejected

def carry_out(order, reporter):
    if "raise" in order.what:
        raise eval(order.what["raise"])
    reporter.metrics(1, {"loss": 2.0, "accuracy": 0.5})
    reporter.metrics(2, {"loss": 1.0, "odd": float("nan"), "huge": float("inf")})
    reporter.progress(5, 10, "steps", message="half", done_before=2)
    reporter.progress(10, 10, "steps")
    return {"run": order.run, "attempt": order.attempt, "threads": order.threads, **order.what}

program.main(carry_out)
"""


def run(work: Path, what: dict[str, object], program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    order = {
        "run": "train-a", "attempt": 2, "what": what, "blobs": "folder:///none", "work": str(work),
        "state": str(work / "state"), "cache": str(work / "cache"), "threads": 1,
    }  # fmt: skip
    files.write_json(work / "order.json", order)
    argv = [sys.executable, "-c", program, "order.json"]
    return subprocess.run(argv, cwd=work, capture_output=True, text=True)


def test_an_order_goes_in_and_a_result_and_reports_come_out(tmp_path: Path) -> None:
    assert run(tmp_path, {"epochs": 3}).returncode == 0
    output = {"run": "train-a", "attempt": 2, "threads": 1, "epochs": 3}
    assert files.read_json(tmp_path / "result.json") == {"output": output}
    report = files.read_json(tmp_path / "report.json")
    assert report["metrics"] == {"loss": 1.0, "accuracy": 0.5}, "the newest of each, and finite ones only"
    assert (report["progress"]["done"], report["progress"]["left_s"]) == (10, 0)
    history = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert history == [{"step": 1, "loss": 2.0, "accuracy": 0.5}, {"step": 2, "loss": 1.0}]


@pytest.mark.parametrize(
    ("raised", "code", "problem"),
    [
        ("Rejected('no column', field='columns.text')", 2, ("no column", "caller", "columns.text")),
        ("NotFound('no blob')", 2, ("no blob", "caller", None)),
        ("NotNow('full', delay_s=3)", 1, ("full", "time", None)),
        ("Failed('it diverged')", 1, ("it diverged", "caller", None)),
        ("Broken('damaged')", 70, ("damaged", "us", None)),
        ("KeyError('x')", 70, ("KeyError: 'x'", "us", None)),
    ],
)
def test_an_error_becomes_a_problem_that_says_who_must_act_and_an_exit_code(
    tmp_path: Path, raised: str, code: int, problem: tuple[str, str, str | None]
) -> None:
    ended = run(tmp_path, {"raise": raised})
    assert ended.returncode == code
    found = files.read_json(tmp_path / "result.json")["problem"]
    assert (found["message"], found["who"], found["field"]) == problem
    assert problem[0].rpartition(": ")[2] in ended.stderr
    assert ("Traceback" in ended.stderr) == (raised == "KeyError('x')"), "a traceback is for our bugs alone"


def test_a_result_that_is_no_json_is_our_bug_and_told_as_one(tmp_path: Path) -> None:
    strange = PROGRAM.replace('"run": order.run', '"run": float("nan")')
    assert run(tmp_path, {}, strange).returncode == 70
    problem = files.read_json(tmp_path / "result.json")["problem"]
    assert problem["who"] == "us"
    assert "JSON" in problem["message"]


def test_an_interrupted_program_leaves_no_result(tmp_path: Path) -> None:
    assert run(tmp_path, {"raise": "KeyboardInterrupt()"}).returncode != 0
    assert not (tmp_path / "result.json").exists()


def test_reports_are_written_at_once_when_they_matter_and_rarely_otherwise(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    for done in range(1000):
        reporter.progress(done, 2000, "steps")
    assert files.read_json(tmp_path / "report.json")["progress"]["done"] < 1000, (
        "the latest waits for its turn"
    )
    reporter.ready("127.0.0.1:1")
    report = files.read_json(tmp_path / "report.json")
    assert (report["address"], report["progress"]["done"]) == ("127.0.0.1:1", 999)
    reporter.progress(2000, 2000, "steps")
    assert files.read_json(tmp_path / "report.json")["progress"]["done"] == 2000


def test_the_rate_counts_what_this_attempt_did_alone(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    reporter.progress(500, 500, "steps", done_before=500)
    progress = files.read_json(tmp_path / "report.json")["progress"]
    assert (progress["rate"], progress["left_s"]) == (0, None)
