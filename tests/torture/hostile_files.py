"""Hostile files, made from a seed, sort after sort. Each case is a file or folder and the loader it is meant for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostile_archives import archive_that_escapes, archive_that_is_another
from hostile_json import (
    config_that_leads_elsewhere,
    files_that_transformers_would_follow,
    json_that_is_none,
    json_that_is_none_in_a_text_model,
    tokenizer_that_is_another,
)
from hostile_parts import Lay, Random
from hostile_pickles import (
    pickle_as_a_signature,
    pickle_as_data,
    pickle_in_a_checkpoint,
    pickle_in_a_model,
    pickle_in_a_request,
    pickle_in_a_text_model,
)
from hostile_pictures import picture_that_is_none, picture_that_is_torn
from hostile_weights import (
    header_that_lies,
    header_that_lies_in_a_checkpoint,
    header_that_lies_in_a_text_model,
)
from hostile_words import request_that_is_none, yaml_that_does_more


@dataclass(frozen=True, kw_only=True)
class Case:
    loader: str
    about: str
    path: Path
    """What the loader is given."""
    canary: Path
    """Is there for as long as nothing was executed."""


def cases(seed: int, numbers: range, good: Path, into: Path) -> Iterator[Case]:
    """The cases of these numbers, each in a folder of its own, sort after sort."""
    for number in numbers:
        chance = Random(f"{seed}/{number}")
        loader, lay = SORTS[number % len(SORTS)]
        folder = into / f"{number:05d}"
        folder.mkdir(parents=True)
        canary = folder / "canary"
        canary.touch()
        (folder / "good").symlink_to(good)
        about, path = lay(chance, folder, canary)
        (folder / "good").unlink()
        yield Case(loader=loader, about=f"{lay.__name__}: {about}", path=path, canary=canary)


SORTS: tuple[tuple[str, Lay], ...] = (
    ("load_image_model", pickle_in_a_model),
    ("load_text_model", pickle_in_a_text_model),
    ("load_image_model", header_that_lies),
    ("load_checkpoint", header_that_lies_in_a_checkpoint),
    ("read_picture", picture_that_is_none),
    ("restore_backup", archive_that_escapes),
    ("read_hall_file", yaml_that_does_more),
    ("load_text_model", config_that_leads_elsewhere),
    ("load_checkpoint", pickle_in_a_checkpoint),
    ("answer_request", pickle_in_a_request),
    ("load_image_model", json_that_is_none),
    ("load_text_model", tokenizer_that_is_another),
    ("prepare_data", pickle_as_data),
    ("read_picture", picture_that_is_torn),
    ("load_text_model", header_that_lies_in_a_text_model),
    ("answer_request", request_that_is_none),
    ("restore_backup", archive_that_is_another),
    ("load_text_model", files_that_transformers_would_follow),
    ("check_signature", pickle_as_a_signature),
    ("load_text_model", json_that_is_none_in_a_text_model),
)
