"""Who may do what: verbs, roles, and an identity with what it may do where.

An identity is worked out once, when somebody shows a token or signs in (`trust/`); doors and the gateway then ask it.
What is not granted is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["see", "use", "change", "manage", "operate"]
"""see: look at what there is; use: ask services; change: declare, remove, cancel, keep secrets; manage: members and
tokens of a project; operate: what is the hall's own, such as nodes, projects and the audit log."""
Role = Literal["viewer", "editor", "admin"]

VERBS_OF: Mapping[Role, frozenset[Verb]] = {
    "viewer": frozenset({"see", "use"}),
    "editor": frozenset({"see", "use", "change"}),
    "admin": frozenset({"see", "use", "change", "manage"}),
}
ALL: frozenset[Verb] = VERBS_OF["admin"] | {"operate"}
NOTHING: frozenset[Verb] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who is asking, and what he may do."""

    name: str
    """As the audit log has it, such as `token default/first` or `user anna`; `canary default/bait` for a token that
    nobody honest uses."""
    project: str
    """Where he is when he does not say."""
    scopes: frozenset[Verb] | None = None
    """What the token he showed is narrowed to, if it is."""
    token: str = ""
    """The token that was shown, such as `token default/ci`; whose it is tells `name`."""
    grants: Mapping[str, frozenset[Verb]] = field(default_factory=dict, hash=False)
    """Project → what he may do there."""
    everywhere: frozenset[Verb] = NOTHING
    """What he may do in every project: an operator's verbs."""
    node: str = ""
    """The machine whose agent this is; it may do an agent's part for that machine, and nothing else."""
    joins: bool = False
    """Whether this is a machine that has yet to join."""

    def verbs(self, project: str) -> frozenset[Verb]:
        """What he may do in a project; nothing in one he has no part in, whether there is such a project or not."""
        return self.grants.get(project, NOTHING) | self.everywhere

    def may(self, verb: Verb, project: str) -> bool:
        return verb in self.everywhere or verb in self.grants.get(project, NOTHING)

    def projects(self) -> Iterator[str] | None:
        """The projects he has a part in, in order; None when it is all there are."""
        return None if self.everywhere else iter(sorted(self.grants))
