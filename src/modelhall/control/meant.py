"""Which version a reference means: of `name` the newest that will do, of `name@2` and `name@3f2a` that one."""

from __future__ import annotations

from collections.abc import Mapping

from modelhall.control.signatures import is_signed
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion
from modelhall.core.kinds.model import ModelResource, ModelVersion
from modelhall.core.versions import named


def dataset_version(
    dataset: DatasetResource | None, name: str, pinned: str | None
) -> tuple[DatasetVersion | None, str]:
    """The version a reference to data set `name` means now, or why there is none."""
    if dataset is None:
        return None, f"there is no dataset {name}"
    if pinned is not None:
        found, why = named(dataset.status.versions, pinned, f"dataset {name}")
        if found is not None and found.erased is not None:
            return None, f"version {pinned} of dataset {name} held rows that were erased; name a later one"
        return found, why
    current = dataset.status.current if dataset.status.state == "ready" else None
    return current, "" if current else f"dataset {name} is {dataset.status.state}: {dataset.status.reason}"


def model_version(
    model: ModelResource | None, name: str, pinned: str | None, trusted: Mapping[str, str] | None = None
) -> tuple[ModelVersion | None, str]:
    """The accepted version a reference to model `name` means now, signed by one of the keys in `trusted` if any are
    given, or why there is none."""
    if model is None:
        return None, f"there is no model {name}"
    if pinned is not None:
        found, why = named(model.status.versions, pinned, f"model {name}")
        if found is not None and not found.accepted:
            return None, f"version {pinned} of model {name} was refused: {found.refusal}"
        if found is not None and not is_signed(found, trusted):
            return None, f"version {pinned} of model {name} is not signed yet: {model.status.reason}"
        return found, why
    signed = tuple(version for version in model.status.versions if is_signed(version, trusted))
    accepted = model.status.model_copy(update={"versions": signed}).accepted
    return accepted, "" if accepted else f"model {name} is {model.status.state}: {model.status.reason}"
