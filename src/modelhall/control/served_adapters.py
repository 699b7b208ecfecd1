"""What is refused of a service's adapters before anything is stored. Whether all of them stand on one base is known
when they are trained: a replica finds out, by their content.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds import AnyResource, Document, Key, Model, Service
from modelhall.core.names import split_reference
from modelhall.core.references import references

_WITH_ADAPTERS = "adapted_generator"
"""What the file of an engine has that serves adapters beside a model."""
_TOLD = "texts"
"""What a task predicts whose answers are told."""


def check(document: Service, declared: Mapping[Key, Document], stored: Mapping[Key, AnyResource]) -> None:
    """Raise Rejected, with the field, unless they are of models that are trained as adapters and tell texts, all of
    which are among the `declared` ones and the `stored`, and served by an engine that can."""
    engine = document.engine
    if document.adapters and engine is not None and not plugins.has("engine", engine, _WITH_ADAPTERS):
        able = " or ".join(
            name for name in plugins.names("engine") if plugins.has("engine", name, _WITH_ADAPTERS)
        )
        raise Rejected(f"{engine} serves no adapters beside a model; `engine: {able}` does", field="engine")
    named = references(document)
    for name, reference in document.adapters.items():
        field = f"adapters.{name}"
        key = named[field]
        model = declared[key] if key in declared else stored[key].document
        assert isinstance(model, Model)
        _check_model(model, field, is_pinned=split_reference(reference)[1] is not None)


def _check_model(model: Model, field: str, *, is_pinned: bool) -> None:
    # What a version that is pinned was trained as, its model may not say any more.
    if not is_pinned and model.train.adapter is None:
        raise Rejected(
            f"{model.key} is trained as a whole network; give it `train: {{adapter: {{lora: {{}}}}}}`, or a service "
            "of its own",
            field=field,
        )
    if _TOLD not in plugins.constant("task", model.task, "PREDICTS"):
        raise Rejected(
            f"{model.key} does {model.task}, and adapters share the replicas of what tells texts; give it a service "
            "of its own",
            field=field,
        )
