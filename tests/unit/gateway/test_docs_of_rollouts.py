"""What docs/rollout.md and docs/scaling.md tell, held to what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelhall.core import plugins
from modelhall.core.hallfile import parse
from modelhall.core.kinds.rollout import Canary
from modelhall.core.kinds.service import Service
from modelhall.gateway import likeness, pulse, shadow, tries
from modelhall.policy import trial

DOCS = Path(__file__).parents[3] / "docs"
ROLLOUT, SCALING = ((DOCS / f"{name}.md").read_text() for name in ("rollout", "scaling"))


@pytest.mark.parametrize("text", re.findall("```yaml\n(.*?)```", ROLLOUT + SCALING, re.DOTALL))
def test_the_services_are_such_as_a_hall_takes(text: str) -> None:
    (declared,) = parse(text, "docs.yaml")
    assert isinstance(declared.document, Service)


def test_every_field_of_a_canary_is_told_with_its_default() -> None:
    told = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", ROLLOUT, re.MULTILINE))
    assert told.keys() == Canary.model_fields.keys()
    plain = Canary()
    assert told["steps"] == ", ".join(f"{share:.0%}" for share in plain.steps)
    assert told["errors"] == f"{plain.errors:.0%}"
    for field in ("every_s", "requests", "by", "latency", "quality"):
        assert told[field] == str(getattr(plain, field)).removesuffix(".0")


def test_every_rule_of_scaling_is_told() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` ", SCALING, re.MULTILINE)) - {"by"} == set(plugins.names("scale"))


def test_the_numbers_are_those_of_the_code() -> None:
    in_rollout = (
        f"At most {shadow.MOST_AT_ONCE} copies", f"larger than {shadow.MOST_BYTES // 2**20} MiB",
        f"further apart than {100 * likeness.RELATIVE:g} %", f"at a level of {trial.ALPHA / 2:g}",
        f"`drain_s` ({Service.model_fields['drain_s'].default:g})",
    )  # fmt: skip
    assert [words for words in in_rollout if words not in ROLLOUT] == []
    in_scaling = (f"up to {tries.MOST_WAITING} are held", "five times a second", "the mean of ten seconds")
    assert [words for words in in_scaling if words not in SCALING] == []
    assert (1 / pulse.SAMPLE_S, pulse.SAMPLE_S * pulse.WINDOW) == (5, 10)
