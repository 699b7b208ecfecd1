"""What routes take from a request: the hall it is for, which resource it is about, and whether it was sent before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from pydantic import Field

from modelhall.app.hall import Hall
from modelhall.control.idempotency import Once, Written
from modelhall.core import names
from modelhall.core.errors import Rejected
from modelhall.core.kinds import KINDS, AnyResource, Key, kind_named

KEY_SHAPE = re.compile(r"[!-~]{1,128}")


def once_each(request: Request) -> None:
    """Refuse a parameter that stands twice where one value is taken: of two, one reader takes the first."""
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if given.count(name) > 1 and name not in _repeatable(request.scope["route"].dependant):
            raise Rejected(f"the parameter {name!r} stands twice; give it once", field=name)


def the_hall(request: Request) -> Hall:
    """The hall this API belongs to."""
    hall = request.app.state.hall
    assert isinstance(hall, Hall)
    return hall


async def once_of(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="1 to 128 visible ASCII characters, new for every request. The same request sent again "
            "under its key is answered as it was, and not done again."
        ),
    ] = None,
) -> Once | None:
    """The caller's idempotency key, bound to all of what he asks for; raises Rejected when it is none."""
    if idempotency_key is None:
        return None
    if not KEY_SHAPE.fullmatch(idempotency_key):
        raise Rejected(
            f"an idempotency key is 1 to 128 visible ASCII characters, not {idempotency_key[:20]!r}"
            f" ({len(idempotency_key)} characters)",
            field="Idempotency-Key",
        )
    query = sorted(request.query_params.multi_items())
    body = (await request.body()).decode(errors="replace")
    asked = [request.method, request.url.path, query, body]
    return Once.of(idempotency_key, caller=request.state.identity.name, request=asked)


def on_record(request: Request) -> Written:
    """Takes down which revisions were made, for the audit log."""

    def written(stored: Sequence[AnyResource]) -> None:
        request.state.revisions = {resource.key.path: resource.revision for resource in stored}

    return written


def labels_of(
    label: Annotated[
        list[Annotated[str, Field(json_schema_extra={"pattern": "^[^=]+=.*$"})]] | None,
        Query(description="key=value; may be given several times, and all must be there."),
    ] = None,
) -> dict[str, str]:
    """The labels asked for; raises Rejected for what is no key=value."""
    found = {}
    for text in label or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Rejected(f"a label is asked for as key=value, not {text!r}", field="label")
        found[key] = value
    return found


def _repeatable(dependant: Dependant) -> set[str]:
    """The names of the parameters that are lists."""
    own = {field.alias for field in dependant.query_params if _is_list(field.field_info.annotation)}
    return own.union(*map(_repeatable, dependant.dependencies))


def _is_list(annotation: Any) -> bool:
    return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))


TheHall = Annotated[Hall, Depends(the_hall)]
OnceOnly = Annotated[Once | None, Depends(once_of)]
OnRecord = Annotated[Written, Depends(on_record)]
Labels = Annotated[dict[str, str], Depends(labels_of)]
Word = Annotated[str, Path(json_schema_extra={"pattern": f"^{names.PATTERN}$"})]
"""A name in a path, as the API describes it; whoever is asked for it checks it."""
Project = Annotated[str, Query(description="The project to look in.")]


def kind_of(name: str) -> str:
    """The kind called `name`, singular or plural; raises Rejected (404) when there is none."""
    kind_named(name)
    return name if name in KINDS else name.removesuffix("s")


def key_of(kinds: str, name: str, project: str) -> Key:
    return Key(kind_of(kinds), project, name)
