"""When figures call for somebody: rules as an operator declares them, and what comes of them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from modelhall.core.kinds.base import Frozen
from modelhall.core.measures import MEASURES, measure
from modelhall.core.names import did_you_mean

Severity = Literal["warning", "critical"]
ALL = "*"
"""In a silence: every rule, or every subject."""


class Rule(Frozen):
    """Fires when a figure has been beyond a limit for some time."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="Replaces the rule that is called so.")
    of: Literal["node", "run", "service", "project", "hall"]
    figure: str = Field(description="One of core/measures.py.")
    above: float | None = None
    below: float | None = None
    for_s: float = Field(default=0.0, ge=0, description="How long it has to be so.")
    severity: Severity = "warning"
    labels: dict[str, str] = Field(default_factory=dict, description="Told with the alert.")
    advice: str = Field(default="", description="What would do.")
    off: bool = Field(default=False, description="Whether it is not looked at.")

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if measure(self.of, self.figure) is None:
            known = [one.name for one in MEASURES if one.of == self.of]
            raise ValueError(f"no figure {self.figure!r} of a {self.of}; {did_you_mean(self.figure, known)}")
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.name} takes one limit, `above` or `below`")
        return self

    def is_beyond(self, value: float) -> bool:
        """Whether the figure is where it should not be."""
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below


class Alert(Frozen):
    """A rule that is, or was, met by one subject."""

    rule: str
    subject: str
    part: str = ""
    """Which of several, where the figure is of one."""
    severity: Severity
    labels: dict[str, str]
    message: str
    value: float
    since: float
    """When the figure went beyond the limit."""
    firing: bool
    """False as long as that is for less than `for_s`, and once it is over."""
    ended_at: float | None = None

    @property
    def id(self) -> str:
        return f"{self.rule} {self.subject} {self.part}".rstrip()


class Silence(Frozen):
    """Some alerts of which nobody is told for a while. They are shown all the same."""

    id: str
    rule: str = ALL
    subject: str = ALL
    until: float
    reason: str = ""
    by: str = ""

    def covers(self, alert: Alert, now: float) -> bool:
        return now < self.until and self.rule in (ALL, alert.rule) and self.subject in (ALL, alert.subject)


DEFAULTS = (
    Rule(name="replica-down", of="service", figure="replicas_missing", above=0, for_s=60, severity="critical",
         advice="`hall describe service` says what its replicas wait for"),
    Rule(name="error-rate", of="service", figure="failed_share", above=0.05, for_s=60, severity="critical",
         advice="`hall logs` of its replicas, and the gateway's log, say why"),
    Rule(name="run-stalled", of="run", figure="stalled_s", above=900,
         advice="`hall logs` shows where it stands; `hall cancel` ends it"),
    Rule(name="loss-diverging", of="run", figure="loss_ratio", above=3, for_s=60,
         advice="a smaller learning rate, or `train.clip`"),
    Rule(name="node-quarantined", of="node", figure="quarantined", above=0, severity="critical",
         advice="`hall describe node` says why; once that is mended, `hall node uncordon` has it used again"),
    Rule(name="disk-filling", of="node", figure="disk_left_s", below=86_400, for_s=300,
         advice="delete runs and versions that nobody needs, or add room"),
    Rule(name="disk-full", of="node", figure="disk_used_share", above=0.95, for_s=60, severity="critical",
         advice="at 100 % writes are answered 507; delete runs and versions that nobody needs"),
    Rule(name="sensor-failing", of="node", figure="sensor_failures_s", above=0.05, for_s=300,
         advice="the hall's log says what is wrong with its readings"),
    Rule(name="budget-near-its-end", of="project", figure="budget_used_share", above=0.8,
         advice="a larger budget, or less use until the next month"),
    Rule(name="token-guessing", of="hall", figure="unknown_tokens_s", above=0.5, for_s=30, severity="critical",
         advice="`hall audit` shows which addresses were locked out"),
)  # fmt: skip
"""On unless an operator says otherwise. One for power comes with the setting `power_limit_w`."""
