"""What docs/limits.md tells, held to what there is."""

from __future__ import annotations

from pathlib import Path

from modelhall.core.hallfile import parse
from modelhall.core.kinds.limits import Caching
from modelhall.core.kinds.service import Service
from modelhall.gateway import answers
from modelhall.policy import purse
from modelhall.policy.pots import limits_of_each, project_limits, service_limits

TEXT = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()


def test_the_example_is_one_that_a_hall_takes() -> None:
    project, service = parse(TEXT.partition("```yaml\n")[2].partition("```")[0], "limits.yaml")
    assert len(project_limits(project.document, 0.0)) == 2
    assert len(service_limits(service.document)) == len(limits_of_each(service.document, "a caller")) == 2
    assert service.document.cache == Caching(ttl_s=3600)


def test_the_numbers_are_those_of_the_code() -> None:
    told = (
        f"idle for {purse.IDLE_S:g} s",
        f"`reply_tokens` of the service, {Service.model_fields['reply_tokens'].default})",
        f"`most_kib` ({Caching().most_kib})", f"waited for {answers.WAIT_S * 1000:g} ms at most",
        f"up\nto {answers.LONGEST_LEFT_ALONE_S:g} s",
    )  # fmt: skip
    assert [words for words in told if words not in TEXT] == []
    assert (purse.PORTIONS, purse.PORTIONS_OF_BUDGET) == (16, 64)
