"""Chat templates: the Jinja programs by which models write a conversation.

They come with a model, from wherever that came, so they run in Jinja's sandbox with what transformers gives them and
nothing else, and what they write has an end.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from modelhall.core.errors import Rejected

_LONGEST = 4 << 20


def write(source: str, *, field: str, **given: Any) -> str:
    """What a template makes of what it is given. Raises Rejected, with `field`, for one that is none, that refuses
    this, or that writes without end."""
    parts, size = [], 0
    try:
        for part in _compiled(source).generate(**given):
            parts.append(part)
            size += len(part)
            if size > _LONGEST:
                raise Rejected(f"the chat template writes more than {_LONGEST} characters", field=field)
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise Rejected(f"the chat template of the model refuses this: {error}", field=field) from None
    return "".join(parts)


def check(source: str) -> None:
    """Raise Rejected for what is no template."""
    try:
        _compiled(source)
    except (jinja2.TemplateError, RecursionError) as error:
        raise Rejected(f"the chat template of the model is no Jinja: {error}", field="base") from None


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    given = {name: environment.globals[name] for name in ("range", "namespace")}
    environment.globals = {**given, "raise_exception": _refuse, "strftime_now": _now}
    environment.filters["tojson"] = _json
    return environment.from_string(source)


def _refuse(message: object = "") -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)
