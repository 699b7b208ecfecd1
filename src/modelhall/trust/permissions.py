"""What it takes to look at a resource, or to change it: the one place where this is written.

A project somebody has no part in is to him as if there were none: he is told the same whether it is there or not,
and nothing is looked up to tell him.
"""

from __future__ import annotations

from modelhall.core.access import VERBS_OF, Identity, Verb
from modelhall.core.errors import Denied, NotYours
from modelhall.core.kinds import Key

LOOK: dict[str, Verb] = {"user": "operate", "node": "operate", "token": "manage"}
"""What it takes to look at resources of a kind, where it is more than `see`."""
CHANGE: dict[str, Verb] = {"user": "operate", "node": "operate", "project": "operate", "token": "manage"}
"""What it takes to declare or remove resources of a kind, where it is more than `change`."""


def tenant(key: Key) -> str:
    """The project whose affair a resource is: a project is its own."""
    return key.name if key.kind == "project" else key.project


def may_look(identity: Identity, key: Key) -> bool:
    """Whether somebody may know of this resource."""
    return identity.may(LOOK.get(key.kind, "see"), tenant(key))


def check_look(identity: Identity, key: Key) -> None:
    """Raise NotYours or Denied unless he may."""
    check(identity, LOOK.get(key.kind, "see"), tenant(key))


def check_change(identity: Identity, key: Key) -> None:
    """Raise NotYours or Denied unless he may declare or remove this."""
    check(identity, CHANGE.get(key.kind, "change"), tenant(key))


def check(identity: Identity, verb: Verb, project: str) -> None:
    """Raise NotYours unless he has a part in the project, and Denied unless he may do this in it."""
    if identity.may(verb, project):
        return
    check_part(identity, project)
    enough = next((role for role, its in VERBS_OF.items() if verb in its), "operator")
    raise Denied(f"{identity.name} may not {verb} in project {project!r}; that takes the role {enough}")


def check_part(identity: Identity, project: str) -> None:
    """Raise NotYours unless he has a part in the project."""
    if not identity.verbs(project):
        raise NotYours(f"no project {project!r} that you have a part in", project=project, field="project")


def check_node(identity: Identity, name: str) -> None:
    """Raise Denied unless this is the agent of the node with this name."""
    if identity.node != name:
        raise Denied(f"{identity.name} does not speak for node {name}; only its own agent does")


def check_joins(identity: Identity) -> None:
    """Raise Denied unless this is a machine that may join."""
    if not identity.joins:
        raise Denied(f"{identity.name} is no token to join with; `hall node join` makes one")


def check_operator(identity: Identity) -> None:
    """Raise Denied unless he runs the hall."""
    if "operate" not in identity.everywhere:
        raise Denied(f"{identity.name} may not do this; it is for the hall's operators")
