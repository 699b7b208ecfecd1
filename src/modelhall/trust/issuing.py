"""Tokens and roles that are given: whether somebody may give them, and what is kept of a token. Nobody gives away
more than he has."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from modelhall.core.access import ALL, VERBS_OF, Identity, Role, Verb
from modelhall.core.errors import Denied, Rejected
from modelhall.core.kinds import Document, Project, User
from modelhall.core.kinds.token import Credential, Token
from modelhall.trust.permissions import check, check_operator
from modelhall.trust.tokens import digest_of, new_token

LONGEST_OVERLAP_S = 30 * 86_400.0


class Secret(NamedTuple):
    """A token as it is told, once, and what is kept of it."""

    token: str
    credential: Credential


def new_secret(key: bytes) -> Secret:
    token = new_token()
    return Secret(token, Credential(digest=digest_of(token.encode(), key).hex()))


def check_issue(issuer: Identity, token: Token, now: float) -> None:
    """Raise Rejected for a token that makes no sense, and Denied or NotFound for one that may more than `issuer`.

    Whoever has a new secret made for a token has it from then on, so rotating takes the same.
    """
    ways = [name for name in ("user", "role", "operator") if getattr(token, name)]
    if token.node is not None or token.joins:
        raise Rejected("a machine gets its token by joining; `hall node join` says how", field="node")
    if len(ways) != 1:
        raise Rejected(
            f"a token has a user, a role, or is an operator's; this one has {' and '.join(ways) or 'none of them'}",
            field="role",
        )
    if token.expires_at is not None and token.expires_at <= now:
        raise Rejected("the token would have expired already", field="expires_at")
    if token.role is not None:
        check(issuer, "manage", token.project)
        check_role(issuer, token.role, token.project, token.scopes)
        return
    if token.operator:
        check_operator(issuer)
        _check_everywhere(issuer, _narrowed(ALL, token.scopes), "no token of his may")
    else:
        _check_own(issuer, token)


def check_role(giver: Identity, role: Role, project: str, scopes: Collection[Verb] | None = None) -> None:
    """Raise Denied unless whoever gives a role in a project may himself do all that it allows there."""
    if lacking := _narrowed(VERBS_OF[role], scopes) - giver.verbs(project):
        raise Denied(
            f"{giver.name} may not {_words(lacking)} in {project!r}, so he gives nobody the right to"
        )


def check_declared(giver: Identity, document: Document) -> None:
    """Raise Denied for a user or a project whose document would let somebody do more than `giver` may."""
    if isinstance(document, User) and document.operator:
        _check_everywhere(giver, ALL, "he makes nobody an operator")
    elif isinstance(document, Project):
        for role in sorted(set(document.members.values())):
            check_role(giver, role, document.name)


def rotated(
    credentials: tuple[Credential, ...], new: Credential, now: float, overlap_s: float
) -> tuple[Credential, ...]:
    """A token's credentials with a new one; those before it are good for `overlap_s` more. Raises Rejected."""
    if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
        raise Rejected(
            f"an overlap is 0 to {LONGEST_OVERLAP_S:g} seconds, not {overlap_s:g}", field="overlap_s"
        )
    until = now + overlap_s
    still_good = [one for one in credentials if one.until is None or one.until > now]
    ending = [one.model_copy(update={"until": min(until, one.until or until)}) for one in still_good]
    return (new, *(ending if overlap_s else ()))


def _check_own(issuer: Identity, token: Token) -> None:
    """A token that stands for a user is made by himself, and narrowed like the one he shows; or by an operator."""
    if "operate" in issuer.everywhere:
        # What the user will be given some day is not known, so all of it counts.
        _check_everywhere(issuer, _narrowed(ALL, token.scopes), "no token of his may")
        return
    if issuer.name != f"user {token.user}":
        raise Denied(f"{issuer.name} may not make a token for user {token.user!r}; he makes it himself")
    if issuer.scopes is None:
        return
    if "manage" not in issuer.scopes:
        raise Denied("the token that was shown is narrowed to less than manage, and makes no others")
    if lacking := _narrowed(ALL, token.scopes) - issuer.scopes:
        raise Denied(f"the token that was shown may not {_words(lacking)}, so no token made with it may")


def _check_everywhere(issuer: Identity, verbs: frozenset[Verb], so: str) -> None:
    if lacking := verbs - issuer.everywhere:
        raise Denied(f"{issuer.name} may not {_words(lacking)} everywhere, so {so}")


def _narrowed(verbs: frozenset[Verb], scopes: Collection[Verb] | None) -> frozenset[Verb]:
    return verbs if scopes is None else verbs & frozenset(scopes)


def _words(verbs: frozenset[Verb]) -> str:
    return " or ".join(sorted(verbs))
