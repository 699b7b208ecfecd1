"""What docs/scheduling.md tells, held to what there is."""

from __future__ import annotations

import re
from pathlib import Path

from modelhall.core import plugins
from modelhall.core.hallfile import parse
from modelhall.core.kinds.base import Resources
from modelhall.policy import deciding, expecting, outlook
from modelhall.policy.schedule import fair
from modelhall.policy.standing import claims, tenants
from modelhall.twin import traces

TEXT = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()
FIRST_CELLS = re.findall(r"^\| `([a-z_`, -]+)` \|", TEXT, re.MULTILINE)


def test_the_documents_are_such_as_a_hall_takes() -> None:
    (text,) = re.findall("```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert [declared.document.kind for declared in parse(text, "docs.yaml")] == ["project", "run"]


def test_every_policy_every_rule_and_every_word_is_told() -> None:
    told = {name for cell in FIRST_CELLS for name in cell.split("`, `")}
    assert (
        set(plugins.names("schedule")) | set(plugins.names("placement")) | set(Resources.model_fields) == told
    )


def test_the_figures_are_those_of_the_code() -> None:
    assert (fair.POINT_S, fair.AHEAD_S, fair.PATIENCE_S, tenants.HALF_LIFE_S) == (3600, 86400, 86400, 86400)
    assert f"higher by {claims.URGENT}" in TEXT
    assert f"more than {outlook.LONGEST_QUEUE:,} runs" in TEXT
    assert (outlook.GUESSED_S, outlook.SHORTER, outlook.LONGER) == (3600, 0.5, 2.0)
    assert f"the last {expecting.KEPT} like it" in TEXT
    assert f"`{deciding.USUAL_PLACEMENT}` |" in TEXT


def test_every_column_of_plain_traces_is_told() -> None:
    assert all(f"`{column}`" in TEXT for column in (*traces.COLUMNS, *traces.NODE_COLUMNS))
