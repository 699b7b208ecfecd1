"""What routes take from a request: the hall it is for, which resource it is about, and whether it was sent before."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from modelhall.app.hall import Hall
from modelhall.control.idempotency import Once
from modelhall.core.errors import Rejected
from modelhall.core.kinds import KINDS, Key, kind_named

KEY_SHAPE = re.compile(r"[!-~]{1,128}")


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


def labels_of(
    label: Annotated[
        list[str] | None, Query(description="key=value; may be given several times, and all must be there.")
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


TheHall = Annotated[Hall, Depends(the_hall)]
OnceOnly = Annotated[Once | None, Depends(once_of)]
Labels = Annotated[dict[str, str], Depends(labels_of)]
Project = Annotated[str, Query(description="The project to look in.")]


def kind_of(name: str) -> str:
    """The kind called `name`, singular or plural; raises Rejected (404) when there is none."""
    kind_named(name)
    return name if name in KINDS else name.removesuffix("s")


def key_of(kinds: str, name: str, project: str) -> Key:
    return Key(kind_of(kinds), project, name)
