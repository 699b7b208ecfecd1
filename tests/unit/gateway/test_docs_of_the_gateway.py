"""What docs/gateway.md tells, held to what there is."""

from __future__ import annotations

import re
from pathlib import Path

from modelhall.core import plugins
from modelhall.core.hallfile import parse
from modelhall.gateway import endpoint, health, resume
from modelhall.policy import prefixes, retry_budget

TEXT = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()


def test_the_service_is_one_that_a_hall_takes() -> None:
    (declared,) = parse(TEXT.partition("```yaml\n")[2].partition("```")[0], "gateway.yaml")
    assert declared.document.balance in plugins.names("balance")


def test_every_policy_is_told() -> None:
    table = TEXT.partition("| `balance` |")[2].partition("\n\n")[0]
    assert set(plugins.names("balance")) == set(re.findall(r"^\| `([a-z-]+)` ", table, re.MULTILINE))


def test_the_numbers_are_those_of_the_code() -> None:
    told = (
        f"blocks of {prefixes.BLOCK_BYTES} bytes", f"{endpoint.SENT_BLOCKS:,} of them",
        f"after {health.FIRST_OUT_S:g} s at first", f"up to {health.LONGEST_OUT_S:g} s",
        f"{retry_budget.RESERVE:g}\nmay be saved up", resume.RESUMES.decode(),
    )  # fmt: skip
    assert [words for words in told if words not in TEXT] == []
