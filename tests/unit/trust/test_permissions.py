"""What it takes to look at something, and to change it."""

from __future__ import annotations

import pytest

from modelhall.core.access import ALL, VERBS_OF, Identity, Verb
from modelhall.core.errors import Denied, NotFound
from modelhall.core.kinds import KINDS, Key
from modelhall.trust.permissions import check, check_change, check_look, check_operator, check_part, may_look

OPERATOR = Identity(name="operator", project="default", everywhere=ALL)
NOBODY = Identity(name="nobody", project="default")
ROLES = {
    role: Identity(name=role, project="home", grants={"home": verbs}) for role, verbs in VERBS_OF.items()
}
LOOKERS = {"token": {"admin"}, "user": set(), "node": set()}
CHANGERS = {"token": {"admin"}, "user": set(), "node": set(), "project": set()}


def key(kind: str, project: str) -> Key:
    return Key("project", "default", project) if kind == "project" else Key(kind, project, "thing")


@pytest.mark.parametrize("kind", KINDS)
def test_what_roles_may_look_at_and_change(kind: str) -> None:
    may_see = {role for role, who in ROLES.items() if may_look(who, key(kind, "home"))}
    assert may_see == LOOKERS.get(kind, {"viewer", "editor", "admin"})
    may_change = set()
    for role, who in ROLES.items():
        try:
            check_change(who, key(kind, "home"))
        except Denied:
            continue
        may_change.add(role)
    assert may_change == CHANGERS.get(kind, {"editor", "admin"})


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_has_a_part_in_what_is_elsewhere_but_operators_have(kind: str) -> None:
    for who in (*ROLES.values(), NOBODY):
        assert not may_look(who, key(kind, "elsewhere"))
        for may in (check_look, check_change):
            with pytest.raises(NotFound):
                may(who, key(kind, "elsewhere"))
    check_look(OPERATOR, key(kind, "elsewhere"))
    check_change(OPERATOR, key(kind, "elsewhere"))


def test_another_project_is_told_of_like_one_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="no project 'elsewhere'"):
        check(ROLES["admin"], "see", "elsewhere")
    with pytest.raises(NotFound, match="no project 'elsewhere'"):
        check_part(ROLES["admin"], "elsewhere")


@pytest.mark.parametrize(
    ("verb", "role"), [("change", "editor"), ("manage", "admin"), ("operate", "operator")]
)
def test_a_refusal_names_the_role_that_would_do(verb: Verb, role: str) -> None:
    with pytest.raises(Denied, match=f"takes the role {role}") as denied:
        check(ROLES["viewer"], verb, "home")
    assert denied.value.status == 403


def test_an_admin_of_every_project_is_no_operator() -> None:
    with pytest.raises(Denied):
        check_operator(ROLES["admin"])
    with pytest.raises(Denied):
        check_operator(Identity(name="x", project="default", everywhere=ALL - {"operate"}))
    check_operator(OPERATOR)
